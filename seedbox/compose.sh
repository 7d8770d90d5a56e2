#!/usr/bin/env bash
# Whatever Compose there is: the plugin of Docker, or docker-compose 1.27 and newer.
#
#     seedbox/compose.sh up -d | down | …      as Compose has it
#     seedbox/compose.sh healthy               wait until the seedbox is healthy, or say why it is not
set -euo pipefail
cd "$(dirname "$0")/.."

if docker compose version >/dev/null 2>&1; then
  compose=(docker compose)
elif command -v docker-compose >/dev/null; then
  compose=(docker-compose)
else
  echo 'seedbox: neither docker compose nor docker-compose is installed' >&2
  exit 1
fi

[[ ${1:-} == healthy ]] || exec "${compose[@]}" "$@"

id=$("${compose[@]}" ps -q seedbox)
[[ -n $id ]] || { echo 'seedbox: it is not up' >&2; exit 1; }
healthy="The seedbox is healthy: ${compose[*]} exec seedbox seedwright opens the interface."
for ((second = 0; second < 60; second++)); do
  state=$(docker inspect --format '{{.State.Status}} {{.State.Health.Status}}' "$id")
  case $state in
    *' healthy')
      echo "$healthy"
      exit 0
      ;;
    exited* | dead* | restarting*) break ;;
  esac
  # Its own check comes half a minute after the start; who waits is told at once.
  if docker exec "$id" seedwright health >/dev/null 2>&1; then
    echo "$healthy"
    exit 0
  fi
  sleep 1
done
"${compose[@]}" logs --tail 20 seedbox >&2
echo "seedbox: not healthy after ${second} s ($state)" >&2
exit 1
