#!/usr/bin/env bash
# Download corpora into corpora/ (or --out): without names, the list of what there is.
#
#   local/download.sh [--out DIR] [NAME...]
#
# An interrupted download resumes. Corpora behind a form or a login are named with their page, and checked
# once they have been put in place.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=corpora
. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./path.sh
. ./db.sh
exec python3 -m m2d.bin.download out="$out" ${CATALOGUE:+catalogue="$CATALOGUE"} "names=[$(IFS=,; echo "$*")]"
