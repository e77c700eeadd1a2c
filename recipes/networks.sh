# shellcheck shell=bash
# Decoding with networks, for recipes whose speaker-adaptive model is $exp/sat: source this file.
# Set: data exp recipe num_jobs, names (of the language models), dev and perhaps test (parts of $data).

# Decode with a network that sees what the speaker-adaptive model does, adapted to the speakers as its decoding was. The
# pdfs are that model's, so its graphs serve; test is decoded with what dev chose. With a second network: the mean of
# both, in a directory that bears the names of both.
evaluate_network() {
  local model=$1 second=${2:-} name part out=$exp/$1${2:+_$2} other
  for name in "${names[@]}"; do
    for part in $dev $test; do
      asrkit write-inputs "$data/$part" "$exp/sat" "$data/${part}_sat_$name" \
        --transforms "$exp/sat/decode_${part}_$name" --num-jobs "$num_jobs"
    done
    other=(${second:+--with "$exp/$second" "$data/${dev}_sat_$name"})
    asrkit decode "$exp/sat/graph_$name" "$exp/$model" "$data/${dev}_sat_$name" "$out/decode_${dev}_$name" \
      --config "$recipe/conf/decode_network.toml" --num-jobs "$num_jobs" ${other[@]+"${other[@]}"}
    asrkit score "$data/$dev" "$out/decode_${dev}_$name"
    if [ -n "$test" ]; then
      other=(${second:+--with "$exp/$second" "$data/${test}_sat_$name"})
      asrkit decode "$exp/sat/graph_$name" "$exp/$model" "$data/${test}_sat_$name" "$out/decode_${test}_$name" \
        --from "$out/decode_${dev}_$name/best.json" --num-jobs "$num_jobs" ${other[@]+"${other[@]}"}
      asrkit score "$data/$test" "$out/decode_${test}_$name/hyp.txt"
    fi
  done
}
