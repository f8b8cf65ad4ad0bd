#!/usr/bin/env bash
# Makes sure that the tools which Rust does not bring are there, and installs the missing ones on Debian and Ubuntu.
#
#   scripts/ensure-tools.sh cc make
#
# Rust links through `cc`, the C compiler's driver, and a system with nothing but Rust may have none.
set -euo pipefail

# Xcode's tools on macOS and Visual Studio's on Windows have names and installers of their own.
[ "$(uname -s)" = Linux ] || exit 0

say() { printf 'omma: %s\n' "$*" >&2; }

missing=() packages=()
for tool in "$@"; do
    if command -v "$tool" >/dev/null; then continue; fi
    missing+=("$tool")
    case $tool in
        cc) packages+=(gcc libc6-dev) ;;
        *) packages+=("$tool") ;;
    esac
done
if [ ${#missing[@]} -eq 0 ]; then exit 0; fi

give_up() {
    say "$1"
    cat >&2 <<PACKAGES
Omma cannot be built without ${missing[*]}; every distribution has packages:
  Debian, Ubuntu   sudo apt-get install ${packages[*]}
  Fedora           sudo dnf install gcc make
  Arch             sudo pacman -S base-devel
  Alpine           sudo apk add build-base
Install them and run the same command again.
PACKAGES
    exit 1
}

command -v apt-get >/dev/null || give_up "${missing[*]} not found, and this system has no apt-get to install it with"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || give_up "${missing[*]} not found, and without root or sudo it cannot be installed"
    as_root=(sudo)
fi

say "${missing[*]} not found; installing ${packages[*]} (apt-get${as_root[0]:+, with sudo})"
# The lists may be old or missing on a new machine; a mirror that fails here may still have the packages.
"${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null || give_up "the installation failed"

hash -r
for tool in "${missing[@]}"; do
    command -v "$tool" >/dev/null || give_up "the packages are installed, and still there is no $tool"
done
