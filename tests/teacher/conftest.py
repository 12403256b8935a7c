"""A small random HuBERT in a folder, as `save_pretrained` leaves it."""

import pytest
import torch
import transformers

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def hubert(tmp_path_factory):
    """Folder of a 2-layer HuBERT, 16 wide, with HuBERT Base's front end (hop 320, group norm) 8 channels wide."""
    folder = tmp_path_factory.mktemp("hubert")
    torch.manual_seed(0)
    transformers.HubertModel(transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
