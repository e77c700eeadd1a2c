# shellcheck shell=bash
# Options that every recipe has. Set the defaults of a recipe's own options, then source this file.
#   --corpus DIR --work DIR --num-jobs N --stage N --stop-stage N --seed N, and any variable that is set already.
set -euo pipefail

corpus=${corpus:-}
work=${work:-"$recipe/work"}
num_jobs=${num_jobs:-2}
stage=${stage:-0}
stop_stage=${stop_stage:-99}
seed=${seed:-0}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      sed -n '2,/^$/s/^# \{0,1\}//p' "$recipe/run.sh"
      exit 0
      ;;
    --*)
      name=${1#--}
      name=${name//-/_}
      if [ -z "${!name+set}" ]; then
        echo "run.sh: unknown option $1 (see --help)" >&2
        exit 2
      fi
      if [ $# -lt 2 ]; then
        echo "run.sh: $1 needs a value" >&2
        exit 2
      fi
      printf -v "$name" '%s' "$2"
      shift 2
      ;;
    *)
      echo "run.sh: unexpected argument $1 (see --help)" >&2
      exit 2
      ;;
  esac
done

# True when a stage is asked for; says which one it is.
runs() {
  [ "$1" -ge "$stage" ] && [ "$1" -le "$stop_stage" ] && echo "== $1: $2" >&2
}

# Stop, naming the publisher's address, where a corpus is missing.
need_corpus() {
  if [ -z "$corpus" ] || [ ! -d "$corpus" ]; then
    echo "run.sh: --corpus ${corpus:-DIR} is not a folder. The corpus is published at $1" >&2
    exit 2
  fi
}
