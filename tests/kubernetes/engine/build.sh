#!/usr/bin/env bash
# build.sh packages | build.sh CACHE
#
# Kubernetes from the source package of this Debian release into CACHE/bin. Once built it is found there again; of CACHE
# only bin and pause.tar have to be kept. `packages` installs what it takes to build and to run it. See README.md.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(realpath -m "${1:?usage: build.sh packages | build.sh CACHE}")
version=1.20.5+really1.20.2-1.1+deb12u1    # of the source package
release=v1.20.2                            # what it is
stamp="$version, recipe 4"                 # raise the number after a change to what is built here
binaries=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet)    # and Debian's kubectl
packages=(golang-1.19-go gcc libc6-dev dpkg-dev etcd-server containerd runc containernetworking-plugins iptables
  iproute2 openssl curl dnsmasq-base mount procps)
jobs=${CLAUDE_INIT_KUBERNETES_JOBS:-2}

log() { printf '%(%T)T build: %s\n' -1 "$*" >&2; }

# No daemon is started by being installed.
install_packages() {
  local package missing=()
  for package in "${packages[@]}"; do
    dpkg-query --show --showformat='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed ||
      missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0
  log "apt-get install ${missing[*]}"
  if [[ ! -e /usr/sbin/policy-rc.d ]]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
  fi
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

is_built() {
  local each
  for each in "${binaries[@]}" kubectl; do [[ -x $cache/bin/$each ]] || return 1; done
  [[ $(cat "$cache/bin/stamp" 2>/dev/null) == "$stamp" && -s $cache/pause.tar ]]
}

# The source package, through an apt of our own with one line: the mirror that this machine uses.
fetch() {
  local codename site kind apt=$cache/apt
  [[ $(cat "$cache/src/.stamp" 2>/dev/null) != "$stamp" ]] || return 0
  codename=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
  # shellcheck disable=SC2016  # apt's own variables
  site=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk -v release="$codename" '$2 == release { print $1; exit }')
  [[ -n $site ]] || { log "there is no source for $codename in apt's configuration"; return 1; }
  mkdir -p "$apt"/{lists/partial,cache/archives/partial}
  : > "$apt/status"
  for kind in deb deb-src; do
    echo "$kind [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site $codename main"
  done > "$apt/sources.list"
  cat > "$apt/apt.conf" <<END
Dir::Etc::sourcelist "$apt/sources.list"; Dir::Etc::sourceparts "/nonexistent";
Dir::State::lists "$apt/lists"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache"; APT::Sandbox::User "root";
END
  log "source kubernetes=$version"
  (
    export APT_CONFIG=$apt/apt.conf
    cd "$apt"
    apt-get update -qq
    apt-get source -qq --download-only "kubernetes=$version" >/dev/null
    apt-get download -qq golang-github-modern-go-reflect2-dev "kubernetes-client=$version" 2>/dev/null
  )
  rm -rf "$cache/src"
  # apt has checked the signed hashes.
  dpkg-source --no-check --no-copy -x "$apt/kubernetes_${version#*:}.dsc" "$cache/src" >/dev/null 2>&1
  correct
  (cd "$cache/src" && leave_out)
  # Not installed: the machine may have another kubectl.
  dpkg-deb -x "$apt"/kubernetes-client_*.deb "$apt/client"
  install -D -m 755 "$apt/client/usr/bin/kubectl" "$cache/bin/kubectl"
  echo "$stamp" > "$cache/src/.stamp"
}

# 1. The vendored reflect2 1.0.1 reads wrong memory when built with Go >= 1.18: kube-apiserver dies of a pretty-printed
#    Secret. Debian's 1.0.2 has the fix.
# 2. cadvisor waits 5 times 1 s for a dockerd at every start of kubelet.
correct() {
  local vendor=$cache/src/vendor
  dpkg-deb -x "$cache"/apt/golang-github-modern-go-reflect2-dev_*.deb "$cache/apt/reflect2"
  rm "$vendor"/github.com/modern-go/reflect2/*.{go,s}
  cp "$cache"/apt/reflect2/usr/share/gocode/src/github.com/modern-go/reflect2/*.{go,s} \
    "$vendor/github.com/modern-go/reflect2/"
  sed -i 's/^const rootDirRetryPeriod .*/const rootDirRetryPeriod = time.Millisecond/' \
    "$vendor/github.com/google/cadvisor/container/docker/factory.go"
}

# The one generated file that the source lacks: the OpenAPI definitions of the API server.
generate() {
  local packages
  [[ ! -s pkg/generated/openapi/zz_generated.openapi.go ]] || return 0
  "$go" build -o "$cache/openapi-gen" k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen
  packages=$(grep -rlE --include='*.go' --exclude='*_test.go' --exclude='zz_generated*' '^//\s*\+k8s:openapi-gen=' \
      pkg cmd staging/src/k8s.io |
    grep -vE '^staging/src/k8s.io/(code-generator|sample-apiserver)/' | xargs -n1 dirname | sort -u |
    sed 's,^staging/src/,vendor/,; s,^,k8s.io/kubernetes/,' | paste -sd,)
  "$cache/openapi-gen" --logtostderr -i "$packages" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
    -h hack/boilerplate/boilerplate.generatego.txt -r "$cache/openapi-violations" --output-base "$GOPATH/src"
  # The generator's report must be the one that upstream recorded, or some package was missed.
  cmp <(sort "$cache/openapi-violations") <(sort api/api-rules/violation_exceptions.list)
  log "OpenAPI definitions"
}

# What no test uses: disks of other machines, registries and metadata of
# clouds, logins of kubectl's users in the API server, a picture of the garbage collector's graph, and NVIDIA's library,
# whose C would have gcc link all of it.
leave_out() {
  local each volumes=(cmd/kubelet/app/plugins.go cmd/kube-controller-manager/app/plugins.go) vendor=vendor/github.com
  for each in cephfs fc flocker glusterfs iscsi portworx quobyte rbd scaleio storageos; do
    sed -i "/pkg\/volume\/$each\"/d; /[ (]$each\.ProbeVolumePlugins/d" "${volumes[@]}"
  done
  sed -i '/^\t_ ".*\/credentialprovider\/\(aws\|azure\|gcp\)"/d' cmd/kubelet/app/plugins.go
  sed -i '/^\t_ ".*\/cloudinfo\/\(aws\|azure\|gce\)"/d' pkg/kubelet/cadvisor/cadvisor_linux.go
  sed -i '/^\t_ "k8s.io\/client-go\/plugin\/pkg\/client\/auth"/d' pkg/kubeapiserver/authenticator/config.go
  sed -i 's/garbagecollector.NewDebugHandler(garbageCollector)/nil/' cmd/kube-controller-manager/app/core.go
  rm pkg/controller/garbagecollector/dump.go "$vendor/mindprince/gonvml/bindings.go"
  sed -i '/^\/\/ +build !cgo/d' "$vendor/mindprince/gonvml/bindings_nocgo.go"
}

# GOPATH mode: newer Go in module mode wants to change the tree's go.mod. Without the clouds' volumes and without the
# kubelet's old way to Docker there is two fifths less to compile; without -trimpath Go's own library is there already.
# The compiler takes less of a processor where it collects no garbage below a limit, has one thread (several packages are
# compiled at once) and describes nothing to a debugger.
build() {
  local component flags="-s -w"
  mkdir -p "$cache/gopath/src/k8s.io" "$cache/bin"
  ln -sfn "$cache/src" "$cache/gopath/src/k8s.io/kubernetes"
  cd "$cache/gopath/src/k8s.io/kubernetes"
  export GOPATH=$cache/gopath GO111MODULE=off GOCACHE=$cache/gocache GOPROXY=off GOTOOLCHAIN=local
  export GOFLAGS="-p=$jobs" GOMAXPROCS=1 GOGC=off GOMEMLIMIT=1GiB
  unset GOROOT
  go=/usr/lib/go-1.19/bin/go
  generate
  for component in component-base/version client-go/pkg/version; do
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$component.gitVersion=$release"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$component.gitMajor=1"
    flags+=" -X k8s.io/kubernetes/vendor/k8s.io/$component.gitMinor=20"
  done
  mkdir -p cmd/all
  cp "$here/all.go" cmd/all/
  # Of these, not of Go's own library, which is compiled already.
  "$go" build -tags providerless,dockerless -gcflags="k8s.io/kubernetes/...=-dwarf=false" \
    -gcflags="k8s.io/kubernetes/vendor/...=-dwarf=false" -ldflags "$flags" -o "$cache/bin/all" k8s.io/kubernetes/cmd/all
  for component in "${binaries[@]}"; do ln -sf all "$cache/bin/$component"; done
  log "built after $SECONDS s"
}

# What holds a pod's namespaces.
pause_image() {
  gcc -Os -static -DVERSION=3.2 -o "$cache/pause" "$cache/src/build/pause/linux/pause.c"
  "$here/image.sh" "$cache/pause.tar" localhost/pause:3.2 '{"Entrypoint":["/pause"]}' "$cache/pause"
}

install_packages
if [[ $1 == packages ]]; then exit 0; fi
mkdir -p "$cache"
exec 9> "$cache/.build.lock"
flock 9
if is_built; then
  log "is there already"
  exit 0
fi
fetch
(build)
(pause_image)
echo "$stamp" > "$cache/bin/stamp"
# A gigabyte each, and of no use any more.
rm -rf "$cache"/{src,gocache,gopath,apt,openapi-gen,openapi-violations,pause}
