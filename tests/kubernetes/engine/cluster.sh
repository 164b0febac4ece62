#!/usr/bin/env bash
# cluster.sh start DIR CACHE [IMAGE.tar...] | env DIR CACHE | load DIR IMAGE.tar... | stop DIR
#
# A real Kubernetes of one node, from what build.sh has put into CACHE. See README.md.
#   start   a fresh cluster, in DIR, with those images; returns when the node is ready. One that runs is left as it is.
#   env     shell code that sets KUBECONFIG and PATH
#   load    archives of `docker save`; pods need imagePullPolicy Never or IfNotPresent
#   stop    ends everything that was started; takes away bridge, iptables chains and mounts; restores the sysctls
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
node=node0 bridge=k8sbr0 address=10.99.0.1 pods=10.99.0.0/24 services=10.96.0.0/16 api_service=10.96.0.1
last_pod=10.99.0.199    # what follows is for the tests' own servers on the node
limit=${CLAUDE_INIT_KUBERNETES_START_LIMIT:-240}
# What later releases have switched on for everybody.
gates=BoundServiceAccountTokenVolume=true,SizeMemoryBackedVolumes=true,TTLAfterFinished=true,EphemeralContainers=true
daemons=(etcd containerd kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet dnsmasq)
sysctls=(vm.overcommit_memory vm.panic_on_oom kernel.panic kernel.panic_on_oops kernel.keys.root_maxkeys
  kernel.keys.root_maxbytes net.ipv4.ip_forward net.ipv4.conf.all.route_localnet net.ipv4.conf.default.forwarding)

log() { printf '%(%T)T cluster: %s\n' -1 "$*" >&2; }
die() { log "$*"; exit 1; }
containers() { timeout "${containers_limit:-240}" ctr -a "$run/containerd.sock" -n k8s.io "$@"; }

# Whether the process that was recorded for NAME is still the one: its command line has $run in it.
alive() {
  local pid
  pid=$(cat "$pids/$1" 2>/dev/null) || return 1
  { tr '\0' ' ' < "/proc/$pid/cmdline" | grep -qF -- "$run"; } 2>/dev/null
}

# daemon NAME COMMAND...: in a session of its own, before what only computes.
daemon() {
  local name=$1
  shift
  ! alive "$name" || return 0
  setsid "$here/../../with-nice.sh" --here -10 "$@" > "$logs/$name.log" 2>&1 < /dev/null 9>&- &
  echo $! > "$pids/$name"
}

# end NAME [SECONDS]: TERM, wait, KILL.
end() {
  local pid tries
  if alive "$1"; then
    pid=$(cat "$pids/$1")
    kill "$pid" 2>/dev/null || :
    for ((tries = 0; tries < ${2:-10} * 20; tries++)); do alive "$1" || break; sleep .05; done
    if alive "$1"; then
      log "$1 did not stop: KILL"
      kill -9 "$pid" 2>/dev/null || :
    fi
  fi
  rm -f "$pids/$1"
}

# await NAME TEST...: until TEST succeeds; fails at once if the daemon NAME is gone.
await() {
  local name=$1
  shift
  until "$@" >/dev/null 2>&1; do
    if ! alive "$name"; then tail -n 15 "$logs/$name.log" >&2; die "$name has ended"; fi
    if ((SECONDS > limit)); then tail -n 15 "$logs/$name.log" >&2; die "$name is not ready within $limit s"; fi
    sleep .2
  done
}

# certificate NAME SUBJECT [ALTERNATIVE-NAMES]
certificate() {
  local name=$1 subject=$2 names=${3:-}
  openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/$name.key" -subj "$subject" \
    -out "$pki/$name.csr" 2>/dev/null
  {
    echo "basicConstraints=CA:FALSE"
    echo "keyUsage=critical,digitalSignature"
    echo "extendedKeyUsage=serverAuth,clientAuth"
    [[ -z $names ]] || echo "subjectAltName=$names"
  } > "$pki/$name.ext"
  openssl x509 -req -in "$pki/$name.csr" -CA "$pki/ca.crt" -CAkey "$pki/ca.key" -CAcreateserial -days 30 \
    -out "$pki/$name.crt" -extfile "$pki/$name.ext" 2>/dev/null
}

# client NAME SUBJECT: a certificate and a kubeconfig with it.
client() {
  certificate "$1" "$2"
  cat > "$run/$1.conf" <<END
apiVersion: v1
kind: Config
clusters: [{name: k, cluster: {server: "https://$address:6443", certificate-authority: $pki/ca.crt}}]
users: [{name: u, user: {client-certificate: $pki/$1.crt, client-key: $pki/$1.key}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
current-context: c
END
}

make_certificates() {
  local own=kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  mkdir -m 700 "$pki"
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$pki/ca.key" -out "$pki/ca.crt" \
    -days 30 -subj /CN=cluster-ca -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
  openssl genrsa -out "$pki/sa.key" 2048 2>/dev/null
  openssl rsa -in "$pki/sa.key" -pubout -out "$pki/sa.pub" 2>/dev/null
  certificate apiserver /CN=kube-apiserver "DNS:$own,DNS:localhost,IP:127.0.0.1,IP:$address,IP:$api_service"
  certificate etcd /CN=etcd DNS:localhost,IP:127.0.0.1
  certificate kubelet-server "/CN=$node" "DNS:$node,IP:$address"
  client admin /O=system:masters/CN=admin
  client kubelet "/O=system:nodes/CN=system:node:$node"
  client controller-manager /CN=system:kube-controller-manager
  client scheduler /CN=system:kube-scheduler
  client proxy /CN=system:kube-proxy
}

configure_containerd() {
  cat > "$run/containerd.toml" <<END
version = 2
root = "$directory/containerd"
state = "$run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.zfs"]
[grpc]
  address = "$run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "localhost/pause:3.2"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$run/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
END
  # Pods reach the bridge (each other, the API server, DNS) and the Services, and nothing else: no default route.
  mkdir -p "$run/cni"
  cat > "$run/cni/10-bridge.conflist" <<END
{"cniVersion": "0.4.0", "name": "k8s", "plugins": [
  {"type": "bridge", "bridge": "$bridge", "isGateway": true, "ipMasq": false, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$run/ipam", "ranges": [[{"subnet": "$pods", "rangeEnd": "$last_pod"}]],
            "routes": [{"dst": "$services"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]}
END
}

configure_kubernetes() {
  mkdir -p "$run/volume-plugins"
  cat > "$run/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $address
port: 10250
readOnlyPort: 0
healthzPort: 10248
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true, cacheTTL: 10s}
  x509: {clientCAFile: $pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $pki/kubelet-server.crt
tlsPrivateKeyFile: $pki/kubelet-server.key
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: 20000
syncFrequency: ${CLAUDE_INIT_KUBERNETES_SYNC:-1s}
configMapAndSecretChangeDetectionStrategy: Watch
nodeStatusUpdateFrequency: 4s
resolvConf: /dev/null
clusterDNS: [$address]
clusterDomain: cluster.local
evictionHard: {}
imageGCHighThresholdPercent: 100
makeIPTablesUtilChains: false
volumePluginDir: $run/volume-plugins
featureGates: {$(sed 's/=/: /g; s/,/, /g' <<< "$gates")}
END
  cat > "$run/scheduler.yaml" <<END
apiVersion: kubescheduler.config.k8s.io/v1beta1
kind: KubeSchedulerConfiguration
clientConnection: {kubeconfig: $run/scheduler.conf}
leaderElection: {leaderElect: false}
podInitialBackoffSeconds: 1
podMaxBackoffSeconds: 2
END
  cat > "$run/proxy.yaml" <<END
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $run/proxy.conf}
hostnameOverride: $node
mode: iptables
clusterCIDR: $pods
iptables: {masqueradeAll: true, syncPeriod: 30s, minSyncPeriod: 0s}
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
oomScoreAdj: 0
bindAddress: $address
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
nodePortAddresses: ["$address/32"]
END
}

load() {
  local archive
  for archive; do containers images import "$archive" >/dev/null || die "cannot import $archive"; done
}

# Containers that no kubelet looks after any more.
purge() {
  local each
  for each in $(containers tasks ls -q); do
    containers tasks kill -s KILL "$each" || :
    containers tasks rm -f "$each" || :
  done >/dev/null 2>&1
  for each in $(containers containers ls -q); do containers containers rm "$each" || :; done >/dev/null 2>&1
}

# For ever: the names of Services, where dnsmasq sees them. By curl, since kubectl takes a fifth of a second to start.
write_hosts() {
  local new old='' names='.items[] | select(.spec.clusterIP != "None")
    | "\(.spec.clusterIP) \(.metadata.name).\(.metadata.namespace).svc.cluster.local"'
  while sleep 1; do
    new=$(curl --silent --fail --noproxy '*' --max-time 10 --cacert "$pki/ca.crt" --cert "$pki/admin.crt" \
      --key "$pki/admin.key" "https://$address:6443/api/v1/services" | jq --raw-output "$names") || continue
    [[ -n $new && $new != "$old" ]] || continue
    echo "$new" > "$run/hosts/services"
    old=$new
  done
}

is_running() {
  local each
  for each in "${daemons[@]}"; do alive "$each" || return 1; done
  timeout 10 kubectl get --raw /readyz >/dev/null 2>&1
}

start_etcd() {
  daemon etcd etcd --name k8s --data-dir "$run/etcd" --listen-client-urls https://127.0.0.1:12379 \
    --advertise-client-urls https://127.0.0.1:12379 --listen-peer-urls http://127.0.0.1:12380 \
    --initial-advertise-peer-urls http://127.0.0.1:12380 --initial-cluster k8s=http://127.0.0.1:12380 \
    --cert-file "$pki/etcd.crt" --key-file "$pki/etcd.key" --trusted-ca-file "$pki/ca.crt" --client-cert-auth \
    --logger zap --log-level warn
  await etcd curl --silent --fail --noproxy '*' --cacert "$pki/ca.crt" --cert "$pki/etcd.crt" --key "$pki/etcd.key" \
    https://127.0.0.1:12379/health
}

start_api_server() {
  daemon kube-apiserver kube-apiserver --bind-address "$address" --advertise-address "$address" --secure-port 6443 \
    --insecure-port 0 --etcd-servers https://127.0.0.1:12379 --etcd-cafile "$pki/ca.crt" \
    --etcd-certfile "$pki/etcd.crt" --etcd-keyfile "$pki/etcd.key" --client-ca-file "$pki/ca.crt" \
    --tls-cert-file "$pki/apiserver.crt" --tls-private-key-file "$pki/apiserver.key" \
    --kubelet-client-certificate "$pki/admin.crt" --kubelet-client-key "$pki/admin.key" \
    --kubelet-certificate-authority "$pki/ca.crt" \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --service-account-key-file "$pki/sa.pub" --service-account-signing-key-file "$pki/sa.key" \
    --service-cluster-ip-range "$services" --authorization-mode Node,RBAC --kubelet-preferred-address-types InternalIP \
    --requestheader-client-ca-file "$pki/ca.crt" --requestheader-allowed-names none \
    --enable-admission-plugins NodeRestriction --feature-gates "$gates" --profiling=false
}

start_the_rest() {
  daemon kube-controller-manager kube-controller-manager --kubeconfig "$run/controller-manager.conf" \
    --authentication-kubeconfig "$run/controller-manager.conf" \
    --authorization-kubeconfig "$run/controller-manager.conf" \
    --bind-address 127.0.0.1 --port 0 --leader-elect=false --use-service-account-credentials \
    --service-account-private-key-file "$pki/sa.key" --root-ca-file "$pki/ca.crt" \
    --cluster-signing-cert-file "$pki/ca.crt" --cluster-signing-key-file "$pki/ca.key" --feature-gates "$gates" \
    --flex-volume-plugin-dir "$run/volume-plugins" --pvclaimbinder-sync-period 1s
  daemon kube-scheduler kube-scheduler --config "$run/scheduler.yaml" --bind-address 127.0.0.1 --port 0 \
    --authentication-kubeconfig "$run/scheduler.conf" --authorization-kubeconfig "$run/scheduler.conf"
  # No registry is ever asked who we are.
  daemon kubelet env AWS_EC2_METADATA_DISABLED=true kubelet --config "$run/kubelet.yaml" \
    --kubeconfig "$run/kubelet.conf" --hostname-override "$node" --node-ip "$address" --container-runtime remote \
    --container-runtime-endpoint "unix://$run/containerd.sock" --image-service-endpoint "unix://$run/containerd.sock" \
    --containerd "$run/containerd.sock" --root-dir "$run/kubelet" --cert-dir "$run/kubelet-pki"
  daemon kube-proxy kube-proxy --config "$run/proxy.yaml"
  daemon dnsmasq dnsmasq --keep-in-foreground --conf-file=/dev/null --no-resolv --no-hosts --bind-interfaces \
    --listen-address="$address" --local=/cluster.local/ --hostsdir="$run/hosts" --pid-file="$run/dnsmasq.pid" \
    --user=root --cache-size=0 --log-facility=-
  daemon write-hosts "$here/cluster.sh" write-hosts "$directory" "$cache" "$run"
}

start() {
  local each
  for each in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubectl kubelet; do
    [[ -x $cache/bin/$each ]] || die "there is no $each in $cache/bin: run build.sh $cache"
  done
  if is_running; then log "runs already"; load "$@"; return; fi
  if [[ -d $pids ]]; then stop; fi
  ! ip link show "$bridge" >/dev/null 2>&1 || die "$bridge is there: another cluster runs on this machine"
  trap '[[ $? == 0 ]] || { log "the start failed; $logs says why"; stop; }' EXIT
  rm -rf "$run"
  mkdir -p "$pids" "$logs" "$run/hosts"
  ls /var/log/pods > "$run/pod-logs.before" 2>/dev/null || :
  ls /run/netns > "$run/netns.before" 2>/dev/null || :
  for each in "${sysctls[@]}"; do sysctl -e "$each" 2>/dev/null || :; done > "$run/sysctls.before"
  # With an address of its own: else it has the lowest of its ports', and whoever knew it loses it when that one goes.
  ip link add "$bridge" address 02:00:0a:63:00:01 type bridge
  ip address add "$address/24" dev "$bridge"
  ip link set "$bridge" up
  sysctl -qw net.ipv4.ip_forward=1
  # An engine beside this one forwards nothing that it does not know.
  iptables -w -I FORWARD -i "$bridge" -o "$bridge" -m comment --comment KUBE-bridge -j ACCEPT
  # As with the engine's containers: all pods together get as much of a busy processor as eight sessions. What an earlier
  # cluster has left is in nobody's use, or stays.
  find /sys/fs/cgroup/*/k8s.io -depth -type d -exec rmdir {} + 2>/dev/null || :
  if mkdir /sys/fs/cgroup/cpu/k8s.io 2>/dev/null; then
    echo 8192 > /sys/fs/cgroup/cpu/k8s.io/cpu.shares
    touch "$run/group"
  fi
  make_certificates
  configure_containerd
  configure_kubernetes
  daemon containerd containerd -c "$run/containerd.toml"
  start_etcd
  start_api_server
  await containerd containers version
  purge
  load "$cache/pause.tar" "$@"
  log "images after $SECONDS s"
  await kube-apiserver kubectl get --raw /readyz
  log "API server after $SECONDS s"
  start_the_rest
  await kubelet kubectl wait --for=condition=Ready --timeout=1s "node/$node"
  await kube-controller-manager kubectl -n default get serviceaccount default
  await kube-controller-manager kubectl -n default get configmap kube-root-ca.crt
  log "node after $SECONDS s"
}

# Goes through to the end whatever happens.
stop() {
  local pid each mount
  [[ -d $pids ]] || return 0
  set +e
  shopt -s nullglob
  end kube-controller-manager 5    # nothing makes new pods from here on
  end kube-scheduler 5
  if alive kubelet && alive containerd && timeout 5 kubectl get --raw /readyz >/dev/null 2>&1; then
    timeout 40 kubectl delete pods -A --all --grace-period=1 --timeout=30s >/dev/null 2>&1 || log "not all pods went"
  fi
  end write-hosts 3
  for each in kubelet kube-proxy kube-apiserver etcd dnsmasq; do end "$each"; done
  if alive containerd; then containers_limit=20; purge; end containerd; fi
  grep -slaF -- "$run/containerd.sock" /proc/[0-9]*/cmdline | cut -d/ -f3 | while read -r pid; do
    case $(cat "/proc/$pid/comm" 2>/dev/null) in containerd-shim*) kill -9 "$pid" 2>/dev/null ;; esac
  done
  awk -v a="$run/" -v b="$directory/containerd/" 'index($5, a) == 1 || index($5, b) == 1 { print $5 }' \
    /proc/self/mountinfo | sort -r | while read -r mount; do umount -l "$mount"; done
  for each in /run/netns/cni-*; do grep -qxF "${each##*/}" "$run/netns.before" || ip netns del "${each##*/}"; done
  for each in /var/log/pods/*; do grep -qxF "${each##*/}" "$run/pod-logs.before" || rm -rf "$each"; done
  find /var/log/containers -xtype l -delete 2>/dev/null
  timeout 20 kube-proxy --cleanup > "$logs/cleanup.log" 2>&1
  remove_chains
  ip link del "$bridge" 2>/dev/null
  if [[ -e $run/group ]]; then find /sys/fs/cgroup/*/k8s.io -depth -type d -exec rmdir {} + 2>/dev/null; fi
  if [[ -s $run/sysctls.before ]]; then sysctl -q -p "$run/sysctls.before" >/dev/null; fi
  rm -rf "$pids" "$run"/{group,etcd,kubelet,containerd,ipam,hosts} "$run"/containerd.sock* "$directory/containerd"
  log "stopped after $SECONDS s"
}

# kube-proxy leaves chains behind for hints, the portmap plugin its own.
remove_chains() {
  local tables table rule chain
  for tables in iptables ip6tables; do
    for table in nat mangle filter; do
      "$tables-save" -t "$table" 2>/dev/null | grep -E '^-A .*(KUBE-|CNI-)' | sed 's/^-A/-D/' |
        while read -r rule; do eval "$tables -w -t $table $rule" 2>/dev/null; done
      "$tables-save" -t "$table" 2>/dev/null | sed -nE 's/^:((KUBE|CNI)-[^ ]+) .*/\1/p' |
        while read -r chain; do
          "$tables" -w -t "$table" -F "$chain"
          "$tables" -w -t "$table" -X "$chain"
        done 2>/dev/null
    done
  done
}

lock() { exec 9> "$directory/.lock"; flock -w 600 9 || die "another cluster.sh works on $directory"; }

main() {
  [[ $# -ge 2 ]] || { sed -n '2,9s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
  local command=$1
  directory=$(realpath -m "$2")
  run=$directory/run pids=$directory/run/pids logs=$directory/run/log pki=$directory/run/pki
  [[ ${#directory} -le 80 ]] || die "$directory is too long: the paths of the sockets in it must fit 108 bytes"
  cache=$(cat "$directory/.cache" 2>/dev/null || :)
  case $command in
    start | env | write-hosts) cache=$(realpath -m "${3:?$command needs the CACHE of build.sh}"); shift 3 ;;
    *) shift 2 ;;
  esac
  for name in ${!AWS_@}; do unset "$name"; done    # the kubelet's registry client would read them
  unset http_proxy https_proxy HTTP_PROXY HTTPS_PROXY all_proxy ALL_PROXY
  export PATH=$cache/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin KUBECONFIG=$run/admin.conf
  case $command in
    start) mkdir -p "$directory"; echo "$cache" > "$directory/.cache"; lock; start "$@" ;;
    env) echo "export KUBECONFIG=$run/admin.conf PATH=$cache/bin:\$PATH" ;;
    load) load "$@" ;;
    write-hosts) write_hosts ;;
    stop) [[ ! -d $directory ]] || { lock; stop; } ;;
    *) die "unknown command: $command" ;;
  esac
}

main "$@"
exit
