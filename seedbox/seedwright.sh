#!/bin/sh
# `seedwright` in the container. Where PUID is used `docker exec` and the health check start as root,
# and the engine's socket is its user's: become that user first.
if [ "$(id -u)" = 0 ] && [ "${PUID:-0}" != 0 ]; then
  exec setpriv --reuid="$PUID" --regid="${PGID:-0}" --clear-groups --inh-caps=-all -- \
    /opt/seedwright/bin/seedwright "$@"
fi
exec /opt/seedwright/bin/seedwright "$@"
