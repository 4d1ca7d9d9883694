# What ./fashionflow and ./test share: the .NET SDK, and packages that apt can install. Sourced, never run.
# A reader that stops early (grep -q, head) ends its writer with SIGPIPE, which pipefail takes for a failure: what a program
# prints is read whole before it is searched, wherever the status counts.

say() { printf '%s\n' "$*" >&2; }

# Ends with one clear line unless the .NET 10 SDK is there; lets the built program find its runtime.
require_dotnet() {
    local dotnet
    if ! dotnet=$(command -v dotnet); then
        say "fashionflow: the .NET 10 SDK is missing. Install it: https://dot.net/download, or on Debian and Ubuntu with Microsoft's package source: sudo apt-get install -y dotnet-sdk-10.0"
        exit 1
    fi
    if [ -z "${DOTNET_ROOT:-}" ]; then
        DOTNET_ROOT=$(dirname "$(readlink -f "$dotnet")")
        # A launcher in /usr/bin is a link or a script; only a directory that holds the host counts.
        if [ -d "$DOTNET_ROOT/host/fxr" ]; then export DOTNET_ROOT; else unset DOTNET_ROOT; fi
    fi
    export DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_NOLOGO=1
}

require_sdk() {
    require_dotnet
    local sdks
    sdks=$(dotnet --list-sdks)
    if ! grep -q '^10\.' <<<"$sdks"; then
        say "fashionflow: the .NET 10 SDK is needed to build; found: $(tr '\n' ' ' <<<"$sdks"). Install it: https://dot.net/download, or: sudo apt-get install -y dotnet-sdk-10.0"
        exit 1
    fi
}

# What a build depends on, in one word that takes milliseconds: names, times and sizes of the sources.
source_fingerprint() {
    (cd "$root" && find src kernels Directory.* global.json \( -name bin -o -name obj \) -prune -o -type f -printf '%p %T@ %s\n' | LC_ALL=C sort | cksum)
}

# How to become root for apt: nothing, sudo, or impossible (1).
as_root=()
can_install() {
    command -v apt-get >/dev/null || return 1
    if [ "$(id -u)" = 0 ]; then as_root=(); return 0; fi
    command -v sudo >/dev/null && sudo -n true 2>/dev/null && as_root=(sudo -n) && return 0
    return 1
}

# apt-get that asks nothing and waits for another apt. The lock of the package lists knows no waiting of its own.
apt_get() {
    local try
    for try in 1 2 3 4 5 6; do
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >/dev/null 2>"${apt_log:=$(mktemp)}" && return 0
        grep -q 'Could not get lock' "$apt_log" || break
        sleep 10
    done
    say "apt-get $*: $(tail -n 3 "$apt_log")"
    return 1
}

has_candidate() { grep -q 'Candidate: [^(]' <<<"$(LC_ALL=C apt-cache policy "$1" 2>/dev/null)"; }

apt_updated=
update_lists() {
    [ -n "$apt_updated" ] && return 0
    say "fashionflow: updating the package lists"
    apt_get update && apt_updated=1
}

# The components that hold NVIDIA's libraries, in a sources file of their own with the mirror and key that the system uses.
enable_nvidia_components() {
    local id codename components file uri key option=
    id=$(. /etc/os-release && echo "$ID")
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    case $id in
        debian) components="contrib non-free" ;;
        ubuntu) components="restricted multiverse" ;;
        *) return 1 ;;
    esac
    file=/etc/apt/sources.list.d/fashionflow-$id.list
    [ -e "$file" ] && return 0
    uri=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null \
        | grep -Ev '^[[:space:]]*#' | grep -Eo "https?://[^ ]*/$id/?( |\$)" | head -n 1 | tr -d ' ')
    key=$(grep -hiEo 'signed-by[:=][[:space:]]*[^] ]+' /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null \
        | sed -E 's/^[^:=]*[:=][[:space:]]*//' | grep -E "/$id-archive" | head -n 1)
    [ -n "$key" ] && option="[signed-by=$key] "
    [ "$id" = debian ] && uri=${uri:-http://deb.debian.org/debian} || uri=${uri:-http://archive.ubuntu.com/ubuntu}
    say "fashionflow: enabling the components $components of $uri in $file"
    printf 'deb %s%s %s %s\n' "$option" "$uri" "$codename" "$components" | "${as_root[@]}" tee "$file" >/dev/null
    apt_updated=
}

# install WHAT PACKAGE...: the first package that the system offers.
install_first() {
    local what=$1 package
    shift
    for package in "$@"; do
        if has_candidate "$package"; then
            say "fashionflow: installing $package ($what)"
            apt_get install -y --no-install-recommends "$package" && return 0
            update_lists && apt_get install -y --no-install-recommends "$package" && return 0
            return 1
        fi
    done
    return 1
}

has_library() { grep -q "$1" <<<"$(PATH=$PATH:/sbin:/usr/sbin ldconfig -p)"; }

ensure_ffmpeg() {
    command -v ffmpeg >/dev/null && return 0
    if can_install && { install_first "video" ffmpeg || { update_lists && install_first "video" ffmpeg; }; }; then return 0; fi
    say "fashionflow: ffmpeg is missing, and it writes the videos. Install it: sudo apt-get update && sudo apt-get install -y ffmpeg"
    return 1
}

# For the stand-ins of NVIDIA's libraries that tests build.
ensure_compiler() {
    command -v cc >/dev/null && return 0
    can_install && { install_first "C compiler" gcc || { update_lists && install_first "C compiler" gcc; }; } && apt_get install -y --no-install-recommends libc6-dev
}

ensure_nvrtc() {
    has_library 'libnvrtc\.so\.1[123]' && return 0
    [ -n "${FASHIONFLOW_NVRTC:-}" ] && return 0
    local packages="libnvrtc11.2 libnvrtc12 libnvrtc13"
    if can_install; then
        # shellcheck disable=SC2086
        install_first "NVIDIA's run-time compiler" $packages && return 0
        # shellcheck disable=SC2086
        enable_nvidia_components && update_lists && install_first "NVIDIA's run-time compiler" $packages && return 0
    fi
    say "fashionflow: NVRTC is missing, and a kernel must be compiled. Install it: sudo apt-get install -y libnvrtc11.2 (libnvrtc12 on newer systems; Debian: enable contrib and non-free; Ubuntu: multiverse)"
    return 1
}

# The driver's library loads without a GPU and answers CUDA_ERROR_NO_DEVICE: enough to test its binding.
ensure_driver_library() {
    has_library 'libcuda\.so\.1' && return 0
    can_install || return 1
    install_first "NVIDIA's driver library" libcuda1 && return 0
    enable_nvidia_components && update_lists && install_first "NVIDIA's driver library" libcuda1
}
