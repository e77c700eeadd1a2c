#!/usr/bin/env bash
# Precise timing by one memory cell: the tasks of Gers, Schraudolph and Schmidhuber, JMLR 3, 2002. No corpus.
#
#   recipes/timing/run.sh [--periods "A B"] [--work DIR] [--num-jobs N] [--stage N] [--stop-stage N] [--seed N]
#
# Stages: 0 measuring spike delays, 1 generating timed spikes, 2 generating periodic functions, of the periods named. Ten
# runs with peepholes, without, and with the full gradient; WORK/.../timing.json has them all, timing.png what the best
# nets do.

recipe=$(cd "$(dirname "$0")" && pwd)
periods=${periods:-10 25}
. "$recipe/../options.sh"

learn() {
  local task=$1 name=$2 conf=$3
  shift 3
  asrkit timing "$task" "$work/$name" --config "$recipe/conf/$conf.toml" --seed "$seed" -j "$num_jobs" "$@"
}

if runs 0 "measuring spike delays"; then
  learn delays delays_10 delays
  learn delays delays_10_continual delays-continual
  learn delays delays_20 delays --set period=20
fi

if runs 1 "generating timed spikes"; then
  learn spikes spikes_10_regular spikes --set offsets=0
  learn spikes spikes_10 spikes
  learn spikes spikes_20 spikes --set period=20
  learn spikes spikes_10_open spikes-open
fi

if runs 2 "generating periodic functions"; then
  for period in $periods; do
    learn functions "cosine_$period" functions --set function=cosine --set period="$period"
    learn functions "triangle_$period" functions --set function=triangle --set period="$period"
    learn functions "rectangle_$period" rectangle --set function=rectangle --set period="$period"
  done
fi
