#!/usr/bin/env bash
# Collect what the image installs, pinned by requirements.lock, for the Python of its base image:
#
#     seedbox/wheelhouse.sh BASE_IMAGE PYTHON      writes seedbox/wheelhouse
#
# PYTHON has pip, uv's setuptools and cyclonedx-py; the image's own build then needs no network.
set -euo pipefail
cd "$(dirname "$0")/.."

base=$1 python=$2 house=seedbox/wheelhouse
version=$(docker run --rm --entrypoint python3 "$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
  || { echo "wheelhouse: $base cannot be run; \`make base-image\` makes one" >&2; exit 1; }
rm -rf -- "$house"
mkdir "$house"
# pip reads the markers in the lock file as of this machine's Python, and the image may have an older
# patch of it: what only that needs is collected, too. Which of it is installed the image decides.
sed "s/ ; python_full_version [^\\]*//" requirements.lock > "$house/all.lock"
"$python" -m pip download --quiet --disable-pip-version-check --dest "$house" --require-hashes \
  --only-binary :all: --python-version "$version" --implementation cp --requirement "$house/all.lock"
rm "$house/all.lock"
"$python" -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation --wheel-dir "$house" .
cp requirements.lock "$house"
"$python" -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
  --output-reproducible --output-format JSON --output-file "$house/sbom.json"
echo "$house: $(ls "$house" | wc -l) files for Python $version, $(du -sh "$house" | cut -f1)"
