# Where the corpora are. Fill in here, or set the variable in the environment, which wins.
# shellcheck shell=bash disable=SC2034

# ImageNet-1K (ILSVRC2012 or one laid out like it): a folder with train/nXXXXXXXX/*.JPEG and val/, its images in class folders
# or flat with LOC_val_solution.csv, or the devkit's folder, beside it. Empty: the digits stand in, made by stage 0.
IMAGENET=${IMAGENET:-}
# Where the digits are written.
MINI_IMAGES=${MINI_IMAGES:-downloads/mini_images}
