#!/usr/bin/env bash
# A base image out of Debian's packages, for places that reach no container registry:
#
#     seedbox/base-image.sh [IMAGE]      needs root, debootstrap and a running Docker engine
#
# Takes Debian's release and mirror from this machine's own apt; DEBIAN_MIRROR and DEBIAN_SUITE
# name others. Any image with Python 3.11 or newer, its venv module and setpriv will do instead.
set -euo pipefail

image=${1:-seedwright-base:local}
suite=${DEBIAN_SUITE:-$(. /etc/os-release && echo "$VERSION_CODENAME")}
mirror=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $suite" | head -n 1)}
mirror=${mirror:-$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1)}
[[ $(id -u) == 0 ]] || { echo 'base-image: debootstrap needs root' >&2; exit 1; }
command -v debootstrap >/dev/null || { echo 'base-image: install debootstrap first' >&2; exit 1; }
[[ -n $mirror ]] || { echo "base-image: apt knows no mirror of $suite: set DEBIAN_MIRROR" >&2; exit 1; }

root=$(mktemp -d)
trap 'rm -rf -- "$root"' EXIT
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv "$suite" "$root" "$mirror" >"$root.log" 2>&1 \
  || { tail -n 20 "$root.log" >&2; exit 1; }
rm -f -- "$root.log"
# What a container never reads: packages, lists, manuals, translations.
rm -rf "$root"/var/cache/apt/* "$root"/var/lib/apt/lists/* "$root"/var/log/* \
  "$root"/usr/share/doc/* "$root"/usr/share/man/* "$root"/usr/share/locale/* "$root"/usr/share/info/*
tar --create --numeric-owner --directory "$root" . | docker import --change 'CMD ["bash"]' - "$image" >/dev/null
echo "$image: Debian $suite, $(docker image inspect --format '{{.Size}}' "$image" | numfmt --to=iec-i)B"
