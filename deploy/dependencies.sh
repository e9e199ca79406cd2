#!/bin/sh
# Installs what Trireme builds and runs with on Debian 12, where it is missing: C libraries, HAProxy, kubectl.
set -eu

packages=""
need() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed' || packages="$packages $1"; }
for package in libuv1-dev libssl-dev libnghttp2-dev libsqlite3-dev pkg-config haproxy curl; do need "$package"; done

if [ -n "$packages" ]; then
  if [ "$(id -u)" != 0 ]; then
    echo "Missing packages:$packages" >&2
    echo "Install them (as root: apt-get install$packages) and run this again." >&2
    exit 1
  fi
  echo "Installing$packages …"
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages >/dev/null
fi

if ! command -v kubectl >/dev/null 2>&1; then
  echo "Fetching kubectl …"
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  (cd "$folder" && apt-get download -qq kubernetes-client && dpkg-deb -x kubernetes-client_*.deb .)
  install -m 755 "$folder/usr/bin/kubectl" /usr/local/bin/kubectl
fi
