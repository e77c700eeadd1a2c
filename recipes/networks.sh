# shellcheck shell=bash
# Decoding with networks, for recipes whose speaker-adaptive model is $exp/sat: source this file.
# Set: data exp recipe num_jobs, names (of the language models), dev and perhaps test (parts of $data).

# Decode with a network that sees what the speaker-adaptive model does, adapted to the speakers as its decoding was. The
# pdfs are that model's, so its graphs serve; test is decoded with what dev chose.
evaluate_network() {
  local model=$1 name part
  for name in "${names[@]}"; do
    for part in $dev $test; do
      asrkit write-inputs "$data/$part" "$exp/sat" "$data/${part}_sat_$name" \
        --transforms "$exp/sat/decode_${part}_$name" --num-jobs "$num_jobs"
    done
    asrkit decode "$exp/sat/graph_$name" "$exp/$model" "$data/${dev}_sat_$name" "$exp/$model/decode_${dev}_$name" \
      --config "$recipe/conf/decode_network.toml" --num-jobs "$num_jobs"
    asrkit score "$data/$dev" "$exp/$model/decode_${dev}_$name"
    if [ -n "$test" ]; then
      asrkit decode "$exp/sat/graph_$name" "$exp/$model" "$data/${test}_sat_$name" "$exp/$model/decode_${test}_$name" \
        --from "$exp/$model/decode_${dev}_$name/best.json" --num-jobs "$num_jobs"
      asrkit score "$data/$test" "$exp/$model/decode_${test}_$name/hyp.txt"
    fi
  done
}
