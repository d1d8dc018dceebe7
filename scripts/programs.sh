# shellcheck shell=bash
# The programs that the demo, the tests and the checks call: what each is for, how to find it, where to get it.
# scripts/bootstrap and the test scripts source this file. It runs on macOS's bash 3.2 too, so it uses no newer feature.

SIDEDOOR_CACHE="${XDG_CACHE_HOME:-$HOME/.cache}/sidedoor"
# A link in this folder makes a program visible that is installed but not on PATH, or replaces a version that is too old.
SIDEDOOR_BIN_DIR="$SIDEDOOR_CACHE/bin"
case ":$PATH:" in
*":$SIDEDOOR_BIN_DIR:"*) ;;
*) export PATH="$SIDEDOOR_BIN_DIR:$PATH" ;;
esac

# The programs that a group of commands needs. `faketime`, `chromium` and so on are names that only these scripts use.
programs_of() {
    case "$1" in
    demo) echo "certificates rust cc" ;;
    test) echo "certificates rust cc c++ faketime python node chromium java postgresql" ;;
    check) echo "certificates rust cc node" ;;
    fuzz) echo "certificates rust cc c++" ;;
    *) return 1 ;;
    esac
}

describe() {
    case "$1" in
    certificates) echo "certificate authorities (ca-certificates)" ;;
    rust) echo "Rust (cargo)" ;;
    cc) echo "a C compiler and linker (cc)" ;;
    c++) echo "a C++ compiler (c++)" ;;
    faketime) echo "libfaketime" ;;
    python) echo "Python 3 with venv" ;;
    node) echo "Node.js 20 or later with npm" ;;
    chromium) echo "Chromium" ;;
    java) echo "Java 11 or later" ;;
    postgresql) echo "PostgreSQL (initdb, pg_ctl, postgres)" ;;
    esac
}

# How to get a program where this script cannot install it: Homebrew's name on macOS, the usual one elsewhere.
how_to_get() {
    local brew=""
    [ "$(uname -s)" = Darwin ] && brew=yes
    case "$1" in
    rust) echo "install rustup from https://rustup.rs, then open a new shell" ;;
    cc | c++) [ -n "$brew" ] && echo "xcode-select --install" || echo "install gcc and g++, or clang" ;;
    faketime) [ -n "$brew" ] && echo "runs on Linux only" || echo "install libfaketime" ;;
    python) [ -n "$brew" ] && echo "brew install python" || echo "install python3 with its venv module" ;;
    node) [ -n "$brew" ] && echo "brew install node" || echo "install nodejs and npm, or see https://nodejs.org" ;;
    chromium) [ -n "$brew" ] && echo "brew install --cask google-chrome" || echo "install chromium, or set CHROMIUM to the path of a Chrome" ;;
    java) [ -n "$brew" ] && echo "brew install openjdk" || echo "install a Java runtime, 11 or later" ;;
    postgresql) [ -n "$brew" ] && echo "brew install postgresql@17" || echo "install the PostgreSQL server" ;;
    certificates) echo "install ca-certificates" ;;
    esac
}

# Compiles and links a program, because a compiler without the headers of the C library is not enough.
compiles() { # compiler, language, header
    command -v "$1" >/dev/null 2>&1 || return 1
    local out status=0
    out="$(mktemp)"
    printf '#include <%s>\nint main() { return 0; }\n' "$3" | "$1" -x "$2" - -o "$out" >/dev/null 2>&1 || status=1
    rm -f "$out"
    return "$status"
}

node_is_new_enough() {
    node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' >/dev/null 2>&1
}

# Prints the path of a Chromium or Chrome that starts. Ubuntu's /usr/bin/chromium-browser is often a script that only says
# how to install a snap, so each candidate is asked for its version.
find_chromium() {
    local candidate
    for candidate in "${CHROMIUM:-}" chromium chromium-browser google-chrome google-chrome-stable \
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"; do
        candidate="$(command -v "$candidate" 2>/dev/null)" || continue
        if "$candidate" --version >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

# Debian and Ubuntu keep the server's programs outside PATH. Links the newest version's.
link_postgresql() {
    local program newest
    for program in initdb pg_ctl postgres; do
        command -v "$program" >/dev/null 2>&1 && continue
        newest="$(find /usr/lib/postgresql -path "*/bin/$program" 2>/dev/null | sort -V | tail -1)"
        [ -n "$newest" ] || return 1
        mkdir -p "$SIDEDOOR_BIN_DIR"
        ln -sf "$newest" "$SIDEDOOR_BIN_DIR/$program"
    done
}

has() {
    case "$1" in
    certificates)
        [ "$(uname -s)" = Darwin ] || [ -n "${SSL_CERT_FILE:-}" ] ||
            [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/pki/tls/certs/ca-bundle.crt ] || [ -e /etc/ssl/cert.pem ]
        ;;
    # Only stdout is hidden, so that rustup can say that it fetches the toolchain of rust-toolchain.toml.
    rust) command -v cargo >/dev/null 2>&1 && cargo --version >/dev/null ;;
    cc) compiles cc c stdlib.h ;;
    c++) compiles c++ c++ vector ;;
    faketime)
        local library
        for library in /usr/lib/*/faketime/libfaketimeMT.so.1 /usr/lib/faketime/faketime/libfaketimeMT.so.1 \
            /usr/local/lib/faketime/libfaketimeMT.so.1; do
            [ -e "$library" ] && return 0
        done
        return 1
        ;;
    python) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
    node) node_is_new_enough && command -v npm >/dev/null 2>&1 ;;
    chromium) find_chromium >/dev/null ;;
    # macOS has a /usr/bin/java that only says where to get one, so its version is asked for.
    java) java -version >/dev/null 2>&1 ;;
    postgresql) link_postgresql ;;
    esac
}
