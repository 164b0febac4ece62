# shellcheck shell=bash
# Where claude-init and the CLI run, and on which store: in a container if docker or podman answers, else on this
# machine.
#
#   choose_store ENVIRONMENT          sets `store`, and `key`: the file with what seals it, beside it
#   provide_key                       makes that file for a store that is not sealed yet
#   typed SCRIPT                      how a person types another script of scripts/setup, for the same store
#   choose_backend                    sets `backend` to docker, podman or none; describe_backend tells a person
#   prepare_backend IMAGE             makes what it needs: the image, or the binary and the CLI
#   run_claude_init IMAGE ARGUMENT... runs `claude-init ARGUMENT...` there, on the store
#
# With `give_key=1` claude-init gets the key, else it does not.
#
# Settings from the environment:
#   CLAUDE_INIT_ENGINE         docker, podman or none, instead of what is found
#   CLAUDE_INIT_ENGINE_ARGS    further arguments for `docker run`, such as --network=host
#   CLAUDE_INIT_LOGIN_COMMAND  what claude-init tells people to type to log in, instead of what it knows or we do
#   CLAUDE_INIT_CLI_ENV        names of further variables that the CLI is to get, such as "CLAUDE_CODE_OAUTH_SCOPES"
#   HTTPS_PROXY, HTTP_PROXY, NO_PROXY and NODE_EXTRA_CA_CERTS reach it in any case.

# shellcheck source=../lib/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"


rebuild=0          # 1: make it anew even if it is there
store_access=rw    # ro: containers get the store read-only
give_key=0         # 1: claude-init gets the key; never where a job runs

# Everything else of the caller's environment stays outside, so that a run in a container and a run on this machine are
# the same: a stray ANTHROPIC_API_KEY would shadow the login.
passed_variables=(HTTPS_PROXY HTTP_PROXY NO_PROXY https_proxy http_proxy no_proxy TERM COLORTERM LANG TZ
                  CLAUDE_INIT_LOGIN_COMMAND CLAUDE_INIT_LOG_LEVEL CLAUDE_INIT_LOG_FORMAT CLAUDE_INIT_GRACE
                  CLAUDE_INIT_STOP_TIMEOUT)

data_home=${XDG_DATA_HOME:-${HOME:-}/.local/share}/claude-init
native_cli=$data_home/cli
native_binary=$top/build/release/claude-init

# Sets `store` from CLAUDE_HUB_DIR, the environment's file, or the default, and `key` from CLAUDE_HUB_KEY or, as Compose
# does, from the store's name as it was given. What the caller's own environment says wins over the file.
choose_store() {
  local name=$1 given=${CLAUDE_HUB_DIR:-} file
  [[ -n ${HOME:-} ]] || die "$exit_usage" "HOME is not set: nothing says where your files are." \
    "Set it to your home directory, such as: export HOME=/home/NAME"
  if [[ -n $name ]]; then
    file=$top/deploy/env/$name.env
    [[ $name =~ ^[A-Za-z0-9_-]+$ && -r $file ]] ||
      refuse_usage "There is no environment '$name'; there are: $(environments)."
    # shellcheck source=/dev/null
    CLAUDE_HUB_DIR=$(. "$file" && printf '%s' "${CLAUDE_HUB_DIR:-}")
    if [[ -n $given && $given != "$CLAUDE_HUB_DIR" ]]; then
      warn "CLAUDE_HUB_DIR is set in your shell and wins over the '$name' environment's $CLAUDE_HUB_DIR."
      CLAUDE_HUB_DIR=$given
    fi
  fi
  store=$(realpath -m -- "${CLAUDE_HUB_DIR:-$HOME/.claude-hub}")
  key=${CLAUDE_HUB_DIR:-$HOME/.claude-hub}
  while [[ $key == ?*/ ]]; do key=${key%/}; done
  key=$(realpath -m -- "${CLAUDE_HUB_KEY:-$key.key}")
  [[ ! -e $store || -d $store ]] || die "$exit_no_store" "$store is a file, and a store is a directory." \
    "Set CLAUDE_HUB_DIR to a directory, such as the one that the file is in, or move the file away."
  typed_before=${SUDO_USER:+sudo } typed_after=${name:+ --env $name}
  [[ -z $given ]] || typed_before+="CLAUDE_HUB_DIR=$(printf %q "$store") "
  for name in CLAUDE_HUB_KEY XDG_DATA_HOME CLAUDE_INIT_ENGINE CLAUDE_INIT_ENGINE_ARGS; do
    [[ -z ${!name:-} ]] || typed_before+="$name=$(printf %q "${!name}") "
  done
}

# Somebody else keeps the login of such a store: claude-init says whom to ask, and nobody is to log in here.
is_published_store() {
  [[ -e $store/.claude-init/published ]] && ! grep -qs refreshToken "$store/.credentials.json"
}

is_sealed_store() { [[ -e $store/.claude-init/sealed-login ]]; }

# A key that is lost is never replaced: nothing else opens what it has sealed.
provide_key() {
  if [[ -e $key ]]; then return; fi
  if is_sealed_store; then
    die "$exit_usage" "The store $store is sealed, and its key is not there: $key." \
      "Put it back from where you keep it, or name it: CLAUDE_HUB_KEY=FILE." \
      "If it is lost, nothing opens that login any more: move the store away, and log in anew."
  fi
  [[ $key/ != "$store"/* ]] || die "$exit_usage" "The key $key would lie in the store, and go wherever that goes." \
    "Set CLAUDE_HUB_KEY to a file outside of $store."
  # First under another name: a key that was cut short seals nothing.
  (umask 077 && mkdir -p -- "$(dirname "$key")" && od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' > "$key.new" &&
    mv -n -- "$key.new" "$key") ||
    die "$exit_unavailable" "The key $key cannot be made." "Set CLAUDE_HUB_KEY to a file in a directory that is yours."
  good "Made the key that seals the login: $key. Keep it apart from backups of the store."
}

typed() {
  local path
  path=$(dirname "$0")/$1
  [[ -x $path ]] || path=$top/scripts/setup/$1    # this one was started through a link
  printf '%s%q%s' "$typed_before" "$path" "$typed_after"
}

environments() {
  local file
  for file in "$top"/deploy/env/*.env; do basename "$file" .env; done | paste -sd' '
}

choose_backend() {
  local engine
  case ${CLAUDE_INIT_ENGINE:-} in
    docker | podman)
      answers "$CLAUDE_INIT_ENGINE" ||
        die "$exit_unavailable" "CLAUDE_INIT_ENGINE says $CLAUDE_INIT_ENGINE, and it does not answer." \
          "Start it, or set CLAUDE_INIT_ENGINE=none to go without a container."
      backend=$CLAUDE_INIT_ENGINE ;;
    none) backend=none ;;
    '')
      backend=none
      for engine in docker podman; do
        if answers "$engine"; then backend=$engine; break; fi
      done ;;
    *) refuse_usage "CLAUDE_INIT_ENGINE is '$CLAUDE_INIT_ENGINE'; it can be docker, podman or none." ;;
  esac
}

# An engine that is installed but not running, or not ours to use, is none.
answers() { timeout 10 "$1" info >/dev/null 2>&1; }

describe_backend() {
  if [[ $backend == none ]]; then
    fact where "on this machine, with the CLI and a home of its own in $data_home"
  else
    fact where "in a container, with $backend"
  fi
}

prepare_backend() {
  if [[ $backend == none ]]; then prepare_native; else prepare_image "$1"; fi
}

run_claude_init() {
  if [[ $backend == none ]]; then run_native "${@:2}"; else run_in_container "$@"; fi
}

# --- in a container ---

prepare_image() {
  local image=$1 arguments=(build) variable
  if [[ $rebuild == 0 ]] && "$backend" image inspect "$image:latest" >/dev/null 2>&1; then return; fi
  step "Building the image $image with $backend; the first time takes a few minutes."
  [[ $backend == docker ]] || arguments+=(--format docker)    # OCI's own format has no HEALTHCHECK
  [[ ! -v CLAUDE_CODE_VERSION ]] || arguments+=(--build-arg CLAUDE_CODE_VERSION)
  for variable in HTTPS_PROXY HTTP_PROXY NO_PROXY; do
    [[ ! -v $variable ]] || arguments+=(--build-arg "$variable")
  done
  quietly "$backend" "${arguments[@]}" --file "$top/Dockerfile.${image/#claude-runtime/runtime}" \
    --tag "$image:latest" "$top" ||
    die "$exit_unavailable" "The image could not be built; the reason is above." \
      "If its registry is out of reach, Debian 12 and 13 can do without a container: set CLAUDE_INIT_ENGINE=none."
}

run_in_container() {
  local image=$1 variable arguments extra access='' CLAUDE_INIT_LOGIN_COMMAND=${CLAUDE_INIT_LOGIN_COMMAND:-}
  shift
  is_published_store || CLAUDE_INIT_LOGIN_COMMAND=${CLAUDE_INIT_LOGIN_COMMAND:-$(typed setup-claude-interactive.sh)}
  export CLAUDE_INIT_LOGIN_COMMAND
  # The store's name on this side of the wall, for what claude-init tells a person to type.
  arguments=(run --rm --hostname "$image" --env "CLAUDE_HUB_DIR=$store" --entrypoint claude-init)
  if [[ -t 0 ]]; then arguments+=(--interactive); fi
  if [[ -t 0 && -t 1 ]]; then arguments+=(--tty); fi
  for variable in "${passed_variables[@]}" ${CLAUDE_INIT_CLI_ENV:-}; do
    [[ -z ${!variable:-} ]] || arguments+=(--env "$variable")
  done
  if [[ -n ${NODE_EXTRA_CA_CERTS:-} ]]; then
    arguments+=(--env NODE_EXTRA_CA_CERTS=/run/extra-ca.pem --volume "$NODE_EXTRA_CA_CERTS:/run/extra-ca.pem:ro")
  fi
  [[ $store_access == rw ]] || access=:ro
  if [[ $give_key == 1 && -e $key ]]; then
    arguments+=(--volume "$key:/run/secrets/seal-key:ro" --env CLAUDE_INIT_SEAL_KEY=/run/secrets/seal-key)
  fi
  read -ra extra <<< "${CLAUDE_INIT_ENGINE_ARGS:-}"
  "$backend" "${arguments[@]}" "${extra[@]}" --volume "$store:/claude-auth$access" \
    "$image:latest" "$@"
}

# --- on this machine ---

prepare_native() {
  command -v dpkg-query >/dev/null ||
    die "$exit_unavailable" "Neither docker nor podman answers, and without them this needs Debian 12 or 13." \
      "Start one of the two and run this again."
  if [[ $rebuild == 1 || ! -x $native_binary ]] || sources_changed; then
    install_build_packages "to build claude-init"
    step "Building claude-init; the first time takes a few minutes."
    quietly build_release || die "$exit_unavailable" "claude-init could not be built; the reason is above."
  fi
  if [[ $rebuild == 1 ]]; then rm -f "$native_cli/version"; fi
  install_cli "$native_cli"
}

sources_changed() {
  [[ -n $(find "$top/src" "$top/cmake" "$top/CMakeLists.txt" "$top/CMakePresets.json" "$top/VERSION" -newer "$native_binary" \
    -print -quit) ]]
}

# Each run has a home of its own: a login that stayed behind in a shared one would be a second copy to renew. It is
# locked as long as anybody works in it.
#
# claude-init is the script's own child, no subshell's, and so it is told when the script is killed (--pdeathsig). We
# wait for it with `wait`, since a trap has to wait for anything else.
run_native() {
  local home held pid='' stop=TERM stopped_by='' status=0
  clear_away_old_homes
  home=$(umask 077 && mkdir -p "$data_home" && mktemp -d "$data_home/home.XXXXXX") ||
    die "$exit_unavailable" "There is no room for a private home in $data_home."
  exec {held}< "$home"
  flock --shared "$held" || :
  # It may have got the signal together with us, from its terminal: a HUP behind another one is no impatience.
  [[ $1 != setup ]] || stop=HUP
  trap 'pass_on INT' INT
  trap 'pass_on TERM' TERM
  trap 'pass_on HUP' HUP
  trap 'pass_on QUIT' QUIT
  # 3 is the real standard error: bash itself would tell of a process that was killed, with the whole of its command.
  {
    claude_init_in_home "$home" "$stop" "$@" <&0 2>&3 3>&- &
    pid=$!
    [[ -z $stopped_by ]] || kill "-$stop" "$pid" || :
    while :; do
      status=0
      wait "$pid" || status=$?
      kill -0 "$pid" || break    # else a signal came, and it has yet to end
    done
  } 3>&2 2>/dev/null
  pid=''
  exec {held}<&-
  # claude-init works in that home itself where all of this is in a container.
  if [[ $1 == setup && $status != 0 && -e $home/.claude/.credentials.json ]]; then
    warn "What the CLI had written is kept in $home; remove it when it is of no use any more."
  else
    rm -rf "$home"
  fi
  trap interrupted INT
  trap - TERM HUP QUIT
  case $stopped_by in
    '') return "$status" ;;
    INT) interrupted ;;
    *) end_by "$stopped_by" ;;
  esac
}

# For run_native's traps, with its variables: we end by that signal once claude-init has ended.
pass_on() {
  stopped_by=$1
  [[ -z $pid ]] || kill "-$stop" "$pid" || :
}

# What is left where this script was killed itself; not one that has just been made, nor one that was kept.
clear_away_old_homes() {
  find "$data_home" -maxdepth 1 -type d -name 'home.??????' -mmin +1 ! -exec test -e {}/.claude/.credentials.json \; \
    -exec flock --nonblock {} rm -rf {} \; 2>/dev/null || :
}

# claude_init_in_home HOME STOP SUBCOMMAND..., where STOP is the signal that it gets when we die. To be called in a
# subshell, which it replaces. Exported variables, not arguments of `env`: what is secret in them must not show up in a
# process list.
claude_init_in_home() {
  local home=$1 stop=$2 subcommand=$3 name kept user path user_option=() key_option=() no_terminal=() ends_with_us=()
  shift 3
  # In a session of its own the CLI cannot take the terminal's foreground, and so ^C reaches us: the CLI ends well on it.
  [[ $subcommand == setup ]] || no_terminal=(setsid)
  [[ $subcommand == health || $subcommand == renew ]] || ends_with_us=(--pdeathsig "$stop")
  if [[ $give_key == 1 && -e $key ]]; then key_option=(--seal-key "$key"); fi
  user=$(id -un 2>/dev/null) || user=$(id -u)
  path=$native_cli/bin:$(dirname "$native_binary"):$PATH
  kept=" NODE_EXTRA_CA_CERTS XDG_RUNTIME_DIR SHELL ${passed_variables[*]} ${CLAUDE_INIT_CLI_ENV:-} "
  for name in $(compgen -e); do
    [[ $kept == *" $name "* ]] || export -n "${name?}"
  done
  is_published_store || export CLAUDE_INIT_LOGIN_COMMAND=${CLAUDE_INIT_LOGIN_COMMAND:-$(typed setup-claude-interactive.sh)}
  export HOME=$home USER=$user LOGNAME=$user PATH=$path DISABLE_AUTOUPDATER=1
  export CLAUDE_CONFIG_DIR=$home/.claude
  [[ $subcommand == renew ]] || read -ra user_option <<< "$(native_user)"    # that has its owner's rights
  cd "$home" || exit
  exec "${no_terminal[@]}" "$native_binary" "$subcommand" --store "$store" "${key_option[@]}" "${user_option[@]}" \
    "${ends_with_us[@]}" "$@"
}

# As root claude-init would become the images' user if there is one; here everybody stays who he is.
native_user() {
  if [[ $(id -u) == 0 ]] && id node >/dev/null 2>&1; then echo "--user root"; fi
}

# A run of the CLI without these scripts, as a person can type it; in a container once its image has been built.
typed_run() {
  local user
  if [[ $backend != none ]]; then
    printf '%s%s run --rm --volume %q:/claude-auth:ro claude-runtime --print hello' "${SUDO_USER:+sudo }" "$backend" "$store"
    return
  fi
  user=$(native_user)
  # shellcheck disable=SC2016 # it is theirs to expand; sudo alone would put its own PATH before
  printf '%sPATH=%q:"$PATH" %q run --store %q%s -- claude --print hello' "${SUDO_USER:+sudo env }" "$native_cli/bin" \
    "$native_binary" "$store" "${user:+ $user}"
}
