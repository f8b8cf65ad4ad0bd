#!/usr/bin/env bash
# Makes sure that a built `omma` finds a Vulkan adapter, and installs the software one (lavapipe) where it finds none.
#
#   scripts/ensure-vulkan.sh target/release/omma
#
# The program itself is asked, and nothing is read off the file system: a driver's manifest can lie there without its
# GPU, and the loader looks in more places than a script should know. Building needs no Vulkan (it is opened at run
# time), so that asking after the build costs nothing.
set -euo pipefail

if [ $# -ne 1 ] || [ ! -x "$1" ]; then
    echo "usage: $0 PATH-TO-OMMA (build it first)" >&2
    exit 2
fi
omma=$1

# Metal on macOS and Direct3D 12 on Windows come with the system.
[ "$(uname -s)" = Linux ] || exit 0

# Whoever asks for another back end has chosen already.
case ${OMMA_BACKEND:-vulkan} in
    *[Vv][Uu][Ll][Kk][Aa][Nn]* | *[Vv][Kk]*) ;;
    *) exit 0 ;;
esac

say() { printf 'omma: %s\n' "$*" >&2; }

# `omma devices` fails when it finds no adapter; the name that the user may have asked for does not matter here.
vulkan_devices() { env -u OMMA_ADAPTER OMMA_BACKEND=vulkan "$omma" devices; }
has_vulkan() { vulkan_devices >/dev/null 2>&1; }

give_up() {
    say "$1"
    cat >&2 <<'PACKAGES'
Omma needs a Vulkan driver: your GPU's, or the software one, which every distribution has:
  Debian, Ubuntu   sudo apt-get install libvulkan1 mesa-vulkan-drivers
  Fedora           sudo dnf install vulkan-loader mesa-vulkan-drivers
  Arch             sudo pacman -S vulkan-icd-loader vulkan-swrast
  Alpine           sudo apk add vulkan-loader mesa-vulkan-swrast
Install it and run the same command again.
PACKAGES
    exit 1
}

if has_vulkan; then exit 0; fi

# With one of these set the loader looks nowhere else: a package more would change nothing.
for name in VK_DRIVER_FILES VK_ICD_FILENAMES; do
    if [ -n "${!name:-}" ]; then
        say "no Vulkan adapter was found, and $name=${!name} keeps the loader from looking further; unset it and try again"
        exit 1
    fi
done

command -v apt-get >/dev/null || give_up "no Vulkan adapter was found, and this system has no apt-get to install one with"

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || give_up "no Vulkan adapter was found, and without root or sudo none can be installed"
    as_root=(sudo)
fi

say "no Vulkan adapter was found; installing the software one: libvulkan1 mesa-vulkan-drivers (apt-get${as_root[0]:+, with sudo})"
# The lists may be old or missing on a new machine; a mirror that fails here may still have the packages.
"${as_root[@]}" apt-get update -qq || say "apt-get update failed; trying with the lists that are there"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends libvulkan1 mesa-vulkan-drivers >/dev/null ||
    give_up "the installation failed"

if has_vulkan; then
    say "the software adapter is installed"
else
    vulkan_devices >&2 || true
    say "the packages are installed, and still there is no Vulkan adapter: what omma says is above"
    exit 1
fi
