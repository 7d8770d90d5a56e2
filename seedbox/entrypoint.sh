#!/bin/sh
# What `docker run seedwright …` starts: sees that the engine can write where it must, becomes the
# user that was asked for, and hands over; the engine then is process 1 and gets the signals itself.
#
# It never changes the owner of a file: on a large volume that takes hours and breaks hard links.
set -eu

fail() {
  echo "seedbox: $*" >&2
  exit 78
}

case ${UMASK:-022} in
  *[!0-7]* | ?????*) fail "UMASK=$UMASK is no mask; 022 is the usual one" ;;
esac
umask "${UMASK:-022}"

uid=$(id -u) gid=$(id -g)
want_uid=${PUID:-$uid} want_gid=${PGID:-$gid}
case $want_uid$want_gid in
  *[!0-9]*) fail "PUID and PGID are numbers, not ${want_uid} and ${want_gid}" ;;
esac
if [ "$want_uid:$want_gid" != "$uid:$gid" ]; then
  [ "$uid" = 0 ] || fail "PUID:PGID ask for $want_uid:$want_gid, but the container runs as $uid:$gid." \
    "Say \`user: \"$want_uid:$want_gid\"\` instead of PUID and PGID, or start it as root."
  exec setpriv --reuid="$want_uid" --regid="$want_gid" --clear-groups --inh-caps=-all -- "$0" "$@"
fi

case ${1:-} in
  daemon)
    for path in /config "${SEEDWRIGHT_STORAGE_SAVE_PATH:-/data}"; do
      [ -d "$path" ] || fail "$path is not there: mount a volume or a folder at it"
      [ -w "$path" ] && [ -x "$path" ] || fail "user $uid:$gid may not write to $path, which belongs to" \
        "$(stat -c '%u:%g, mode %a' "$path"). Run as its owner (\`user:\`), or give it to $uid:$gid on the host."
    done
    # A socket that a killed engine left behind is found out by the next one itself.
    exec seedwright "$@"
    ;;
  '') exec seedwright daemon ;;
  sh | bash) exec "$@" ;;
  *) exec seedwright "$@" ;;
esac
