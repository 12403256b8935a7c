"""Teacher features (stage 2) of one job's part of a data directory; resumes after an interruption."""

from m2d.common import cli
from m2d.data.datadir import DataDir
from m2d.teacher import load_teacher
from m2d.teacher.extract import TeacherOptions, extract_teacher


def main(options: TeacherOptions) -> None:
    extract_teacher(DataDir.read(options.data), load_teacher(options.model, options.layer), options)


if __name__ == "__main__":
    cli.run(TeacherOptions, main, __doc__)
