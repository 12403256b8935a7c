"""Images in ImageNet's folder layout -> batches of views. Needs the `images` extra (torchvision, timm)."""
