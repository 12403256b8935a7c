#!/usr/bin/env bash
# Real recordings to try the recipe with: spoken digits, letters and alphabets in five languages by four speakers, from Debian's
# packages asterisk-core-sounds-{en,es,fr,it,ru}-wav (8 kHz; CC BY-SA 3.0, the Russian ones CC BY 3.0). The label is language and
# speaker; a group is one prompt, so that a prompt that is tested was heard in training from nobody.
#
# usage: local/prompts.sh FOLDER      needs apt-get and dpkg-deb of Debian or Ubuntu; writes FOLDER/voices.csv
set -euo pipefail
[ $# = 1 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 1; }
mkdir -p "$1"
cd "$1"
for language in en es fr it ru; do
  package=asterisk-core-sounds-$language-wav
  compgen -G "${package}_*.deb" >/dev/null || apt-get download "$package"
  dpkg-deb -x "${package}"_*.deb .
done
cd usr/share/asterisk/sounds
echo file_name,label,group >../../../../voices.csv
for file in */digits/*.wav */letters/*.wav */phonetic/*.wav; do
  echo "usr/share/asterisk/sounds/$file,${file%%/*},${file#*/}"
done >>../../../../voices.csv
cd ../../../..
echo "$PWD/voices.csv: $(($(wc -l <voices.csv) - 1)) recordings with $(tail -n +2 voices.csv | cut -d, -f2 | sort -u | wc -l) labels"
