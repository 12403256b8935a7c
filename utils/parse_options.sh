# shellcheck shell=bash
# Command-line options of the script that sources this file: `--name value` or `--name=value`.
#
# The option table is the `name=default  # help` lines at the top of that script, above the line that sources this
# file; hyphens and underscores in names are the same. An unknown name is refused with the nearest known one. An
# option whose default is true or false takes only these. `--help` prints the script's header comment and the table.
# Words that are not options stay in "$@".

_options_of() {  # SCRIPT LINE: "name=default  # help" rows above that line
  head -n "$(($2 - 1))" "$1" | grep -E '^[A-Za-z][A-Za-z0-9_]*=' || true
}

_bad_option() {
  echo "${_script##*/}: $* (see $_script --help)" >&2
  exit 1
}

_script=${BASH_SOURCE[1]}
[ -e "$_script" ] || _script=$OLDPWD/$_script  # named from where the script was before it changed to its own folder
_table=$(_options_of "$_script" "${BASH_LINENO[0]}")

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      awk 'NR == 1 && /^#!/ { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$_script"
      printf '\noptions and their defaults:\n'
      awk '{ sub(/=/, " "); printf "  --%s\n", $0 }' <<<"$_table"
      exit 0
      ;;
    --) shift; break ;;
    --*) ;;
    *) break ;;
  esac
  _word=${1#--}
  _name=${_word%%=*}
  _name=${_name//-/_}
  if ! grep -q "^$_name=" <<<"$_table" || [[ ! $_name =~ ^[A-Za-z0-9_]+$ ]]; then
    mapfile -t _known < <(cut -d= -f1 <<<"$_table")
    _near=$(python3 "$(dirname "${BASH_SOURCE[0]}")/nearest.py" "$_name" "${_known[@]}")
    _bad_option "unknown option --${_word%%=*}${_near:+, did you mean --$_near?}"
  fi
  if [[ $_word == *=* ]]; then
    _value=${_word#*=}
    shift
  elif [ $# -ge 2 ]; then
    _value=$2
    shift 2
  else
    _bad_option "option --$_word needs a value"
  fi
  if [[ ${!_name-} == true || ${!_name-} == false ]] && [[ $_value != true && $_value != false ]]; then
    _bad_option "option --${_word%%=*} takes true or false, not '$_value'"
  fi
  printf -v "$_name" '%s' "$_value"
done
unset -v _script _table _word _name _value _near _known
