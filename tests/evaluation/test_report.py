"""From a model's name to RESULTS.md: whole evaluations on the miniatures, tables beside the papers', figures."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from m2d import load_pretrained, save_pretrained
from m2d.audio.wave import read_audio
from m2d.bin import predict, prepare_task, report_general
from m2d.common import cli
from m2d.common.errors import UserError
from m2d.evaluation import paper
from m2d.evaluation.linear import LinearOptions
from m2d.evaluation.paper import FINETUNE_TASKS, LINEAR_TASKS, Printed
from m2d.evaluation.report import cell, mean_of, write_report
from m2d.evaluation.results import write_result
from m2d.evaluation.runs import FinetuneConfig, LinearConfig, finetune_task, linear_tasks
from m2d.evaluation.task import Task
from m2d.evaluation.tasks import TASKS
from m2d.pretrained.tagging import PredictOptions

TUNE_QUICK = ["tuning=quick", "tune.epochs=2", "tune.warmup_epochs=1", "tune.batch_size=4", "seeds=[0,1]", "device=cpu",
              "workers=0"]
NONE = np.empty(0, int), np.empty((0, 2))  # predictions
LINEAR_QUICK = ["linear.lr=0.01", "linear.epochs=20", "linear.seeds=[0,1]", "device=cpu", "workers=0"]


def command(job, *words):
    """An entry point as the command line calls it: a module of m2d.bin, or an option table and its function."""
    table, main = job if isinstance(job, tuple) else (job.Options, job.main)
    main(cli.parse(table, "", [str(word) for word in words]))


linear_eval, finetune = (LinearConfig, linear_tasks), (FinetuneConfig, finetune_task)


@pytest.fixture(scope="session")
def prepared(miniatures, tmp_path_factory):
    """Prepared tasks by the command, the long ones cut to seconds that a test can spend: name -> folder."""
    folders = {}
    for name, root in miniatures.items():
        folders[name] = tmp_path_factory.mktemp("tasks") / name
        command(prepare_task, f"task={name}", f"root={root}", f"out={folders[name]}")
        task = Task.read(folders[name])
        dataclasses.replace(task, seconds=min(task.seconds, 1.0)).write(folders[name])
    return folders


def test_every_task_from_download_to_results(prepared, model_directory, tmp_path):
    exp = tmp_path / "exp"
    tasks = f"tasks=[{','.join(str(prepared[name]) for name in LINEAR_TASKS)}]"
    command(linear_eval, f"model={model_directory}", tasks, f"out={exp}/tiny", "label=tiny", *LINEAR_QUICK)
    command(linear_eval, "model=logmel", tasks, f"out={exp}/logmel", *LINEAR_QUICK)
    for name in FINETUNE_TASKS:
        command(finetune, f"model={model_directory}", f"task={prepared[name]}", f"out={exp}/tiny", "label=tiny",
                *TUNE_QUICK)
    command(report_general, f"exp={exp}", f"out={tmp_path}/RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    rows = {line.split(" | ")[0].strip("| "): line.strip("|").split(" | ") for line in text.splitlines()
            if line.startswith("|")}
    assert len(rows["logmel"]) == 5  # of the table of groups, the later one; all its means are known
    assert "-" not in [word.strip() for word in rows["logmel"]]
    assert "| *M2D ratio=0.6* | 89.7 ± 0.2 | 87.6 ± 0.2 | 95.4 ± 0.1 | 73.1 ± 0.1 | 97.9 ± 0.1 | 71.7 ± 0.3 " \
           "| 83.3 ± 1.0 | 75.3 ± 0.1 | 41.0 ± 0.2 | 79.5 ± 0.3 |" in text
    assert "| *M2D ratio=0.7* | 37.4 ± 0.1 | 95.0 ± 0.2 | 98.5 ± 0.1 | 94.4 ± 1.3 |" in text
    # AudioSet's counts, GTZAN's damaged file
    assert "| AS20K | 5 | 1 | 10 / 6 | train 2, test 2 | 0 | 42531 |" in text
    assert "| GTZAN | 2 | 1 | 12 / 5 / 6 | 0 | 1 | 930 |" in text
    assert "Seeds of the evaluation: logmel 2, tiny 2." in text
    assert "Seeds of the evaluation: tiny (quick) 2." in text
    assert "mini corpus" not in text and "masking_ratio.png" not in text and "git " in text
    result = json.loads((exp / "tiny/linear/esc50/result.json").read_text())
    assert len(result["scores"]) == 2 and result["options"]["lr"] == 0.01
    assert result["task"]["split"] == "5 official folds"
    for where in [*(f"linear/{name}" for name in LINEAR_TASKS), "finetune/quick/esc50", "finetune/quick/vc1"]:
        folder = exp / "tiny" / where
        matrix = [line.split(",") for line in (folder / "confusion.csv").read_text().splitlines()]
        assert matrix[0][1:] == Task.read(prepared[folder.name]).classes == [line[0] for line in matrix[1:]]
        clips = json.loads((folder / "result.json").read_text())["clips"]
        tested = clips.get("test") or sum(clips.values())  # with folds every clip once
        assert sum(int(count) for line in matrix[1:] for count in line[1:]) == 2 * tested  # seeds
        assert (folder / "confusion.png").read_bytes().startswith(b"\x89PNG")
    assert not (exp / "tiny/finetune/quick/as20k/confusion.csv").exists()


def test_results_are_made_anew_when_what_they_follow_from_changes_and_only_then(prepared, model_directory, tmp_path,
                                                                                caplog):
    caplog.set_level("INFO")
    shutil.copytree(prepared["spcv2"], tmp_path / "task")
    shutil.copytree(model_directory, tmp_path / "model")
    linear = linear_eval, f"model={tmp_path}/model", f"tasks=[{tmp_path}/task]", f"out={tmp_path}/o", *LINEAR_QUICK
    tune = finetune, f"model={tmp_path}/model", f"task={tmp_path}/task", f"out={tmp_path}/o", *TUNE_QUICK

    def made(name):
        caplog.clear()
        for words in (linear, tune):
            command(*words)
        return caplog.text.count("already done"), (tmp_path / "o" / name).stat().st_mtime_ns

    kept = made("linear/spcv2/features.npy")
    assert kept[0] == 0 and made("linear/spcv2/features.npy") == (2, kept[1])
    other = load_pretrained(tmp_path / "model")
    other.randomise(7)
    save_pretrained(other, tmp_path / "model")  # new weights at the same path
    again = made("linear/spcv2/features.npy")
    assert again[0] == 0 and again[1] > kept[1] and "a run of other weights" in caplog.text
    task = Task.read(tmp_path / "task")
    dataclasses.replace(task, content="another").write(tmp_path / "task")
    assert made("linear/spcv2/features.npy")[0] == 0 and "a run of other task" in caplog.text


def test_the_fine_tuned_model_is_kept_and_gives_what_was_measured(prepared, model_directory, tmp_path):
    words = [*TUNE_QUICK, "seeds=[3]", "tune.patchout=0.5", "tune.lr=0.01", "tune.optimizer=adamw"]
    command(finetune, f"model={model_directory}", f"task={prepared['spcv2']}", f"out={tmp_path}/o", *words)
    folder = tmp_path / "o/finetune/quick/spcv2"
    model, task = load_pretrained(folder / "model"), Task.read(prepared["spcv2"])
    test = [clip for clip in task.clips if clip.part == "test"]
    tags = model.tag([read_audio(task.path(clip)) for clip in test])  # shorter than the task's second: filled up
    assert tags.names == task.classes and torch.allclose(tags.probabilities.sum(1), torch.ones(len(test)), atol=1e-5)
    named = [tags.names[row.argmax()] for row in tags.probabilities]
    right = np.mean([name == clip.label for name, clip in zip(named, test, strict=True)])
    result = json.loads((folder / "result.json").read_text())
    assert 100 * right == pytest.approx(result["scores"][0])
    origin = json.loads((folder / "model/config.json").read_text())["origin"]
    assert origin["task"] == "spcv2" and origin["measures"] == result["measures"]
    command(finetune, f"model={model_directory}", f"task={prepared['spcv2']}", f"out={tmp_path}/o", *words,
            "label=other")
    again = load_pretrained(folder / "model")  # of the model's own copy: the run's is gone
    assert again.digest() == model.digest() and torch.equal(again.tag([np.zeros(8000)]).probabilities,
                                                            model.tag([np.zeros(8000)]).probabilities)
    assert not list(folder.rglob("best.safetensors"))
    state = torch.load(folder / "seed3/checkpoint.pt", weights_only=True)["state"]
    expected = torch.softmax(state["test"], 1)
    assert torch.allclose(tags.probabilities, expected, atol=2e-3)  # training reads float16 log-mels
    table = tmp_path / "table.csv"
    options = PredictOptions(model=str(folder / "model"), files=[str(task.path(clip)) for clip in test],
                             out=str(table), device="cpu", workers=0)
    assert predict.main(options) == 0
    with table.open(newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    assert [rows[str(task.path(clip))]["label"] for clip in test] == named
    first = rows[str(task.path(test[0]))]
    assert (first["begin"], first["end"]) == ("0.000", "0.400")  # its own, without what is filled
    assert [float(first[name]) for name in task.classes] == pytest.approx(tags.probabilities[0].tolist(), abs=1e-4)
    predict.main(dataclasses.replace(options, frames=True))
    with table.open(newline="") as stream:
        assert len(list(csv.DictReader(stream))) == 3 * len(test)  # 41 log-mel frames in patches of 16


def test_a_task_that_is_not_prepared_stops_before_the_work(prepared, tmp_path):
    with pytest.raises(UserError, match=r"none/task\.json: no such file: no prepared task here"):
        command(linear_eval, "model=logmel", f"tasks=[{prepared['gtzan']},{tmp_path}/none]", f"out={tmp_path}/o",
                *LINEAR_QUICK)
    assert not (tmp_path / "o").exists()


def test_a_model_of_another_front_end_is_fine_tuned_on_its_own_log_mels(prepared, model_directory, tmp_path):
    shutil.copytree(model_directory, tmp_path / "model")
    config = json.loads((tmp_path / "model/config.json").read_text())
    config["front_end"] |= {"sample_rate": 8000, "n_fft": 200, "win_length": 200, "hop_length": 80, "f_max": 4000.0}
    (tmp_path / "model/config.json").write_text(json.dumps(config))
    command(finetune, f"model={tmp_path}/model", f"task={prepared['vc1']}", f"out={tmp_path}/o", *TUNE_QUICK)
    tuned = load_pretrained(tmp_path / "o/finetune/quick/vc1/model")
    assert tuned.sample_rate == 8000 and (prepared["vc1"] / "logmel_8000").is_dir()
    with pytest.raises(UserError, match="model 'logmel': only models of ours are fine-tuned"):
        command(finetune, "model=logmel", f"task={prepared['vc1']}", f"out={tmp_path}/o", "tuning=quick", "device=cpu")


def test_settings_whose_results_no_report_would_find_are_refused(prepared, model_directory, tmp_path):
    with pytest.raises(UserError, match="tuning=a/b: give one name of a folder"):
        command(finetune, f"model={model_directory}", f"task={prepared['vc1']}", f"out={tmp_path}/o", "tuning=a/b")


def test_preparing_again_with_the_same_options_does_nothing(miniatures, tmp_path, caplog):
    words = "task=gtzan", f"root={miniatures['gtzan']}", f"out={tmp_path}/gtzan"
    command(prepare_task, *words)
    before = (tmp_path / "gtzan/task.json").stat().st_mtime_ns
    with caplog.at_level("INFO"):
        command(prepare_task, *words)
    assert "already done" in caplog.text and (tmp_path / "gtzan/task.json").stat().st_mtime_ns == before
    command(prepare_task, *words, "seed=1")
    assert (tmp_path / "gtzan/task.json").stat().st_mtime_ns > before


def put_results(exp, label, value, ratio=None):
    """Results of all nine tasks, all with the same score, as of a model pre-trained with this masking ratio."""
    for name in LINEAR_TASKS:
        task = Task(name, TASKS.get(name).title, TASKS.get(name).group, "/x", 1.0, "made up", ["a", "b"])
        write_result(exp / label / "linear" / name, "linear", label, f"exp/{label}/model", task, LinearOptions(), {
            "scores": [value], "mean": value, "ci": 0.5, "clips": {"train": 2}, "confusion": None, "unreadable": [],
            "predictions": NONE})
    if ratio is not None:
        (exp / label / "config.yaml").write_text(f"model:\n  objective: m2d\n  mask_ratio: {ratio}\n")


def test_a_task_of_ones_own_from_a_table_to_all_its_measures(miniatures, model_directory, tmp_path):
    """Under its own name in folders, tables and the report, with no row of the paper's beside it."""
    root = miniatures["cremad"] / "AudioWAV"
    names = sorted(path.name for path in root.glob("1*.wav"))
    (tmp_path / "moods.csv").write_text("file_name,label,group\n" + "".join(
        f"{name},{'calm' if 'NEU' in name or 'SAD' in name else 'loud'},{name[:4]}\n" for name in names))
    command(prepare_task, "task=table", f"table={tmp_path}/moods.csv", f"root={root}", f"out={tmp_path}/data/moods")
    for label, model in (("tiny", model_directory), ("logmel", "logmel")):
        command(linear_eval, f"model={model}", f"tasks=[{tmp_path}/data/moods]", f"out={tmp_path}/exp/{label}",
                f"label={label}", "linear.epochs=30", "linear.seeds=[0,1]", "linear.layers=true", "workers=0")
    command(finetune, f"model={model_directory}", f"task={tmp_path}/data/moods", f"out={tmp_path}/exp/tiny",
            "label=tiny", *TUNE_QUICK)
    command(report_general, f"exp={tmp_path}/exp", f"out={tmp_path}/RESULTS.md")
    text = (tmp_path / "RESULTS.md").read_text()
    assert "*M2D" not in text and "| Model | moods |" in text and "Means over groups" not in text
    assert "accuracy | macro F1 | sensitivity | specificity | mAP | ROC AUC | kNN | best layer | best epochs |" in text
    result = json.loads((tmp_path / "exp/tiny/linear/moods/result.json").read_text())
    assert result["lr"] in (3e-5, 3e-4, 1e-3, 3e-3, 1e-2) and result["classes"].keys() == {"calm", "loud"}
    assert [layer["layer"] for layer in result["layers"]] == [0, 1, "sum"] and result["knn"]["neighbours"] == 10
    assert (tmp_path / "exp/tiny/linear/moods/layers.png").is_file()


def test_a_tenth_task_is_shown_and_leaves_the_papers_averages(tmp_path):
    put_results(tmp_path / "exp", "ours", 50.0)
    task = Task("birds", "Birds", "own", "/x", 1.0, "made up", ["a", "b"])
    for label in ("ours", "other"):
        write_result(tmp_path / "exp" / label / "linear/birds", "linear", label, "exp/m", task, LinearOptions(), {
            "scores": [75.0], "mean": 75.0, "ci": None, "clips": {"train": 2}, "confusion": None, "unreadable": [],
            "predictions": NONE})
    write_report(tmp_path / "exp", tmp_path / "RESULTS.md", mini=False)
    text = (tmp_path / "RESULTS.md").read_text()
    papers, _, others = text.partition("### Other tasks")
    assert "| ours |" in papers and papers.count("| 50.0 ± 0.5 ") == 10 and "Birds" not in papers
    assert "| other | 75.0 |" in others.split("###")[0] and "*M2D" not in others.split("###")[0]
    assert "| ours | 50.0 ± 0.5 | 50.0 ± 0.5 | 50.0 ± 0.5 | 50.0 ± 0.5 |" in others  # the groups


def test_several_masking_ratios_make_figure_3(tmp_path):
    for ratio in (0.5, 0.6, 0.7):
        put_results(tmp_path / "exp", f"r{ratio}", 100 * ratio, ratio)
    put_results(tmp_path / "exp", "other", 1.0)
    write_report(tmp_path / "exp", tmp_path / "RESULTS.md", mini=True)
    text = (tmp_path / "RESULTS.md").read_text()
    assert "(masking_ratio.png)" in text and "**The mini corpus stood in" in text
    assert (tmp_path / "masking_ratio.png").read_bytes().startswith(b"\x89PNG")
    assert "| r0.6 | 60.0 ± 0.5 | 60.0 ± 0.5 | 60.0 ± 0.5 | 60.0 ± 0.5 |" in text  # the groups and the average
    assert "Fine-tuning" not in text


def test_a_confusion_matrix_names_classes_as_they_are(tmp_path):
    task = Task("gtzan", "GTZAN", "music", "/x", 1.0, "made up", ["drum, snare", 'the "blues"'])
    write_result(tmp_path, "linear", "m", "exp/m/model", task, LinearOptions(), {
        "scores": [75.0], "mean": 75.0, "ci": None, "clips": {"train": 2}, "unreadable": [], "predictions": NONE,
        "confusion": np.array([[3, 1], [0, 4]])})
    with (tmp_path / "confusion.csv").open(newline="") as stream:
        assert list(csv.reader(stream)) == [["true \\ predicted", "drum, snare", 'the "blues"'],
                                            ["drum, snare", "3", "1"], ['the "blues"', "0", "4"]]


def test_without_results_it_says_so(tmp_path):
    with pytest.raises(UserError, match="evaluate a model first"):
        write_report(tmp_path, tmp_path / "RESULTS.md", mini=False)


def test_cells_and_means():
    assert [cell(score) for score in (None, Printed(89.72), Printed(89.72, 0.25))] == ["-", "89.7", "89.7 ± 0.2"]
    assert mean_of({"a": Printed(1, 0.1), "b": Printed(3, 0.3)}, ["a", "b"]) == Printed(2, 0.2)
    assert mean_of({"a": Printed(1, 0.1)}, ["a", "b"]) is None


@pytest.mark.parametrize("label", ["MSM-MAE", "M2D ratio=0.6", "M2D ratio=0.7"])
def test_the_papers_rows_give_the_papers_average(label):
    average = mean_of(paper.LINEAR[label], LINEAR_TASKS)
    assert average.mean == pytest.approx(paper.LINEAR_AVERAGE[label].mean, abs=0.06)
    assert average.ci == pytest.approx(paper.LINEAR_AVERAGE[label].ci, abs=0.06)
    assert set(paper.LINEAR[label]) == set(LINEAR_TASKS) and set(paper.FINETUNE[label]) == set(FINETUNE_TASKS)
