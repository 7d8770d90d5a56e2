#!/usr/bin/env bash
# Whatever Compose there is: the plugin of Docker, or docker-compose 1.27 and newer.
#
#     seedbox/compose.sh up -d                 start it, or say what is in the way
#     seedbox/compose.sh down | …              as Compose has it
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

fail() {
  echo "seedbox: $*" >&2
  exit 1
}

# Compose in few words: Docker's own, which are many, only where they are news.
start() {
  local image said port holder
  docker info >/dev/null 2>&1 || fail 'Docker does not answer: does it run, and may you use it? (`docker info` says more)'
  image=$("${compose[@]}" config | sed -n "s/^ *image: *['\"]\?\([^'\"]*\).*/\1/p" | head -n 1)
  if ! docker image inspect "$image" >/dev/null 2>&1; then
    [[ $image != *:local ]] || fail "there is no image $image yet: \`make image up\` builds it and starts it"
    docker pull "$image" || exit 1
  fi
  said=$("${compose[@]}" "$@" 2>&1) && return
  if [[ $said =~ (0\.0\.0\.0|\]|::):([0-9]+)[^$'\n']*(address already in use|port is already allocated) ]]; then
    port=${BASH_REMATCH[2]}
    holder=$(docker ps --filter "publish=$port" --format 'the container {{.Names}}' | head -n 1)
    fail "port $port is taken by ${holder:-another program of this machine};" \
      "another one is chosen so: SEEDWRIGHT_PORT=$((port + 1)) make up"
  fi
  echo "$said" >&2
  exit 1
}

case ${1:-} in
  up)
    start "$@"
    exit
    ;;
  healthy) ;;
  *) exec "${compose[@]}" "$@" ;;
esac

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
