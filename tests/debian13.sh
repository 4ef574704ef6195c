#!/usr/bin/env bash
# ./dev test --on debian13: runs ./dev test on Debian 13, whose libvirt and QEMU are newer, beside the system here.
#
# Debian 13 lives in a directory of its own, made once by debootstrap from the archive that apt of this machine uses;
# the copy of this checkout in it sets itself up as on any fresh Debian. Nothing here is changed by what runs there.
# It shares this machine's network, kernel and devices; all its processes end with it.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
script=tests/debian13.sh
cache=${XDG_CACHE_HOME:-$HOME/.cache}/guivm-dev
root=$cache/debian13
export PATH=$PATH:/usr/sbin:/sbin
guestfs=/usr/lib/guivm-guestfs
certificates=/etc/ssl/certs/ca-certificates.crt

say() { printf '%s\n' "$@" >&2; }

# The variables that say how to reach package archives from here, and CI.
handed_on() {
    local name
    for name in CI TERM {http,https,no}_proxy {HTTP,HTTPS,NO}_PROXY \
        PIP_{INDEX_URL,EXTRA_INDEX_URL,TRUSTED_HOST,PROXY,DEFAULT_TIMEOUT}; do
        if [[ -n ${!name-} ]]; then printf '%s=%s\n' "$name" "${!name}"; fi
    done
}

# Print the address of a Debian archive: the one apt here is set up for.
archive() {
    local found
    if [[ -n ${GUIVM_DEBIAN_ARCHIVE-} ]]; then
        printf '%s\n' "$GUIVM_DEBIAN_ARCHIVE"
        return
    fi
    # shellcheck disable=SC2016  # the field is apt's
    found=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Label: Debian' \
        'Component: main')
    if [[ -z $found ]]; then
        say "apt is not set up for an archive of Debian here. Name one in GUIVM_DEBIAN_ARCHIVE, then try again."
        return 1
    fi
    head -n 1 <<<"$found"
}

make_root() {
    local from log=$cache/debootstrap.log
    from=$(archive)
    say "Debian 13 is made in $root (once; about 3 GB when all its packages are there):"
    rm -rf --one-file-system "$root" "$root.new"
    mkdir -p "$root.new"
    if ! debootstrap --variant=minbase --include=ca-certificates trixie "$root.new" "$from" >"$log" 2>&1; then
        tail -n 25 "$log" >&2
        say "" "The whole output is in $log."
        return 1
    fi
    rm -rf "$root.new"/var/cache/apt/archives/*.deb
    # As in a container: no services, no packages kept, no documentation.
    printf '#!/bin/sh\nexit 101\n' >"$root.new/usr/sbin/policy-rc.d"
    chmod 755 "$root.new/usr/sbin/policy-rc.d"
    printf '%s\n' 'Binary::apt-get::APT::Keep-Downloaded-Packages "false";' 'Acquire::Languages "none";' \
        'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};' >"$root.new/etc/apt/apt.conf.d/90small"
    printf 'path-exclude=/usr/share/%s/*\n' doc man locale info >"$root.new/etc/dpkg/dpkg.cfg.d/90small"
    mv "$root.new" "$root"
}

# What tests/guestfs needs, in the root. Its virt-sysprep is not found by the other tests: what clones do depends on it.
add_guestfs() {
    local name wanted=
    for name; do
        if [[ $name == tests/guestfs* ]]; then wanted=yes; fi
    done
    if [[ -z $wanted || -x $guestfs/virt-sysprep ]]; then return; fi
    say "libguestfs and a kernel for it are installed there (once):"
    mkdir -p "$guestfs"
    dpkg-divert --quiet --local --rename --divert "$guestfs/virt-sysprep" --add /usr/bin/virt-sysprep
    apt-get -qq update
    DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends guestfs-tools \
        "linux-image-cloud-$(dpkg --print-architecture)" >/dev/null
}

# Put the checkout as it is now into the root; what was built there stays.
copy_checkout() {
    local there=$root/src
    mkdir -p "$there"
    find "$there" -mindepth 1 -maxdepth 1 ! -name .venv ! -name build -exec rm -rf --one-file-system {} +
    git ls-files -z --cached --others --exclude-standard --deduplicate |
        while IFS= read -r -d '' name; do
            if [[ -e $name || -L $name ]]; then printf '%s\0' "$name"; fi
        done | tar --create --ignore-failed-read --no-recursion --null --files-from=- |
        tar --extract --directory "$there" --no-same-owner
}

# The first process of new namespaces: lay out the root's file systems, make it the root, run there.
enter() {
    local settings
    mapfile -t settings < <(handed_on)
    if [[ -r $certificates ]]; then
        cp --remove-destination "$certificates" "$root/etc/ssl/guivm-dev.pem"
        settings+=(PIP_CERT=/etc/ssl/guivm-dev.pem)
    fi
    cp --remove-destination /etc/resolv.conf /etc/hosts "$root/etc/"
    mount --bind "$root" "$root"
    cd "$root"
    mount -t proc proc proc
    mount --rbind /sys sys
    mount --rbind /dev dev
    mount -t tmpfs -o mode=1777 tmpfs dev/shm
    mount -t tmpfs -o mode=755 tmpfs run
    mkdir -p run/lock
    find tmp -mindepth 1 -delete
    # Not chroot: user namespaces, in which the tests' session daemons live, are refused in one.
    pivot_root . .
    umount -l .
    # The shell stays as the first process: it reaps what daemons leave to it.
    # shellcheck disable=SC2016  # expanded there
    exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 "${settings[@]}" \
        /bin/bash -c 'cd /src && tests/debian13.sh --add "$@" && ./dev test "$@"; exit "$?"' bash "$@" 9>&-
}

case ${1-} in
    --enter)
        shift
        enter "$@"
        ;;
    --add)
        shift
        add_guestfs "$@"
        exit
        ;;
esac

if ((EUID != 0)); then
    say "sudo makes and enters the root of Debian 13."
    mapfile -t settings < <(handed_on)
    exec sudo env "${settings[@]}" GUIVM_DEBIAN_ARCHIVE="$(archive)" "$BASH" "$script" "$@"
fi
mkdir -p "$cache"
chmod 700 "$cache"
exec 9>"$cache/debian13.lock"
if ! flock -n 9; then
    say "Waiting for another run on Debian 13 …"
    flock 9
fi
if [[ ! -d $root ]]; then make_root; fi
copy_checkout
if (($# == 0)); then set -- -q tests/contract tests/e2e tests/guestfs; fi
# unshare holds the lock while it waits.
exec unshare --mount --propagation private --pid --fork --kill-child -- "$BASH" "$script" --enter "$@"
