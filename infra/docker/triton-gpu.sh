#!/bin/bash
# Starts NVIDIA's tritonserver as gyre_local.triton starts the one for CPUs; a test compares the two.
# `ready`: the language model is loaded. `alive`: its engine is up, and said so less than 30 s ago;
# for Triton a dead or hanging engine stays READY.
set -euo pipefail
model=${GYRE_LOCAL_MODEL_NAME:-gyre-reader}

case "${1:-serve}" in
  ready)
    exec curl -fsS --max-time 8 "http://127.0.0.1:8000/v2/models/$model/ready"
    ;;
  alive)
    curl -fsS --max-time 8 "http://127.0.0.1:${GYRE_TRITON_METRICS_PORT:-8002}/metrics" \
      | awk -v now="$(date +%s)" -v model="model=\"$model\"" '
          index($1, "gyre_llm_engine_up{") && index($1, model) { up = $2 }
          index($1, "gyre_llm_heartbeat_seconds{") && index($1, model) { beat = $2 }
          END { exit !(up == 1 && now - beat < 30) }'
    exit
    ;;
  serve) ;;
esac

arguments=(
  --model-repository="$GYRE_LOCAL_STATE/triton/repository"
  --backend-config=python,shm-region-prefix-name="gyre-$HOSTNAME-"
  --model-control-mode=explicit
  --disable-auto-complete-config
  --exit-on-error=false
  --exit-timeout-secs=20
  --grpc-address=0.0.0.0
  --grpc-port=8001
  --metrics-address=0.0.0.0
  --metrics-port=8002
  --http-address=127.0.0.1          # only the container's own health check
  --http-port=8000
)
if [ -n "${GYRE_TRITON_ADMIN_KEY:-}" ]; then
  restricted=model-repository,model-config,shared-memory,logging,trace
  arguments+=(--grpc-restricted-protocol="$restricted:gyre-key=$GYRE_TRITON_ADMIN_KEY")
fi
for model in all-minilm-l6-v2 all-minilm-l6-v2-query "$model"; do
  arguments+=(--load-model="$model")
done
exec tritonserver "${arguments[@]}"
