# bash completion for claude-init. Needs no other package.
# Written by `cmake --build build/dev --target reference` from src/options: change it there.

# _claude_init_offer COMPGEN-WORDS...
_claude_init_offer() { mapfile -t COMPREPLY < <(compgen "$@" -- "$current"); }

_claude_init() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local subcommand=${COMP_WORDS[1]} option='' options='' valued='' i
  COMPREPLY=()
  if [[ $COMP_CWORD == 1 ]]; then
    _claude_init_offer -W 'setup run keep health renew capture restore history init help --help --version'
    return
  fi
  if [[ $subcommand == help ]]; then
    [[ $COMP_CWORD != 2 ]] || _claude_init_offer -W 'setup run keep health renew capture restore history init'
    return
  fi
  case $subcommand in
    setup)
      options='--store --allow-ephemeral --checkpoint --store-owner --store-mode --keep-generations --locking --seal-key --old-seal-key --adopt --user --until-login --renew --renew-before --renew-command --max-bytes --max-files --max-depth --include --exclude --grace --stop-timeout --group --rewrite --remap-exit --pdeathsig --login-command --log-level --log-format --help -h --help-all'
      valued='--store --checkpoint --store-owner --store-mode --keep-generations --locking --seal-key --old-seal-key --user --renew --renew-before --renew-command --max-bytes --max-files --max-depth --include --exclude --grace --stop-timeout --rewrite --remap-exit --pdeathsig --login-command --log-level --log-format'
      ;;
    run)
      options='--store --user --wait-login --allow-no-login --allow-new-privileges --exec --copy --refresh-token --workdir --persist --sessions --max-sessions --renew --renew-before --renew-command --checkpoint --store-owner --store-mode --keep-generations --locking --seal-key --max-bytes --max-files --max-depth --include --exclude --grace --stop-timeout --group --rewrite --remap-exit --pdeathsig --login-command --log-level --log-format --help -h --help-all'
      valued='--store --user --copy --refresh-token --workdir --persist --sessions --max-sessions --renew --renew-before --renew-command --checkpoint --store-owner --store-mode --keep-generations --locking --seal-key --max-bytes --max-files --max-depth --include --exclude --grace --stop-timeout --rewrite --remap-exit --pdeathsig --login-command --log-level --log-format'
      ;;
    keep)
      options='--store --publish --publish-placeholder --seal-key --old-seal-key --listen --allow-host --on-change --renew --renew-before --renew-command --check-every --grace --stop-timeout --login-command --log-level --log-format --help -h --help-all'
      valued='--store --publish --publish-placeholder --seal-key --old-seal-key --listen --allow-host --on-change --renew --renew-before --renew-command --check-every --grace --stop-timeout --login-command --log-level --log-format'
      ;;
    health)
      options='--store --seal-key --user --live --max-age --live-timeout --live-command --format --json --detailed-exit-code --login-command --log-level --log-format --help -h --help-all'
      valued='--store --seal-key --user --max-age --live-timeout --live-command --format --login-command --log-level --log-format'
      ;;
    renew)
      options='--store --seal-key --force --renew-before --renew-command --format --json --login-command --log-level --log-format --help -h --help-all'
      valued='--store --seal-key --renew-before --renew-command --format --login-command --log-level --log-format'
      ;;
    capture)
      options='--from --delete --store --store-owner --store-mode --keep-generations --locking --seal-key --adopt --max-bytes --max-files --max-depth --include --exclude --format --json --login-command --log-level --log-format --help -h --help-all'
      valued='--from --store --store-owner --store-mode --keep-generations --locking --seal-key --max-bytes --max-files --max-depth --include --exclude --format --login-command --log-level --log-format'
      ;;
    restore)
      options='--store --seal-key --to --generation --refresh-token --max-bytes --max-files --max-depth --include --exclude --format --json --login-command --log-level --log-format --help -h --help-all'
      valued='--store --seal-key --to --generation --refresh-token --max-bytes --max-files --max-depth --include --exclude --format --login-command --log-level --log-format'
      ;;
    history)
      options='--store --seal-key --format --json --login-command --log-level --log-format --help -h --help-all'
      valued='--store --seal-key --format --login-command --log-level --log-format'
      ;;
    init)
      options='--grace --stop-timeout --group --rewrite --remap-exit --pdeathsig --log-level --log-format --help -h --help-all'
      valued='--grace --stop-timeout --rewrite --remap-exit --pdeathsig --log-level --log-format'
      ;;
    *) return ;;
  esac

  # Where the command begins: behind "--", or at the first word that is no option and no value of one. The shell takes
  # --name=value apart, into three words.
  for ((i = 2; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) ((i++)); break ;;
      -*)
        if [[ ${COMP_WORDS[i + 1]} == '=' ]]; then
          ((i += 2))
        elif [[ " $valued " == *" ${COMP_WORDS[i]} "* ]]; then
          ((i++))
        fi
        while [[ ${COMP_WORDS[i + 1]} == '=' ]]; do ((i += 2)); done  # --store NAME=DIR
        ;;
      *) break ;;
    esac
  done
  local begun=0
  if ((i < COMP_CWORD)) || [[ $i == "$COMP_CWORD" && ${COMP_WORDS[i - 1]} == -- ]]; then begun=1; fi
  case $subcommand in
    setup | run | init) [[ $i != "$COMP_CWORD" || -z $current || $current == -* ]] || begun=1 ;;
    *) [[ $begun == 0 ]] || return ;;
  esac
  if [[ $begun == 1 ]]; then
    if [[ $i == "$COMP_CWORD" ]]; then
      _claude_init_offer -c
    elif declare -F _command_offset >/dev/null; then
      _command_offset "$i"
    else
      compopt -o filenames
      _claude_init_offer -f
    fi
    return
  fi

  # The option whose value this is.
  if [[ $current == '=' ]]; then
    option=$previous current=''
  elif [[ $previous == '=' ]]; then
    option=${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $option != -* && ${COMP_WORDS[COMP_CWORD - 3]} == '=' ]]; then
      option=${COMP_WORDS[COMP_CWORD - 4]}
    elif [[ $option != -* ]]; then
      option=${COMP_WORDS[COMP_CWORD - 3]}
    fi
  elif [[ " $valued " == *" $previous "* ]]; then
    option=$previous
  fi
  if [[ -z $option ]]; then
    _claude_init_offer -W "$options"
    return
  fi
  case $subcommand in
    setup)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --store-owner) _claude_init_offer -u ;;
        --store-mode) _claude_init_offer -W 'private group' ;;
        --locking) _claude_init_offer -W 'auto flock lease' ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --old-seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --user) _claude_init_offer -u ;;
        --renew) _claude_init_offer -W 'auto never' ;;
        --pdeathsig) _claude_init_offer -A signal ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    run)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --user) _claude_init_offer -u ;;
        --copy) _claude_init_offer -W 'config all login' ;;
        --refresh-token) _claude_init_offer -W 'withhold copy' ;;
        --workdir) compopt -o filenames; _claude_init_offer -d ;;
        --persist) _claude_init_offer -W 'none sessions all' ;;
        --sessions) compopt -o filenames; _claude_init_offer -d ;;
        --renew) _claude_init_offer -W 'auto never' ;;
        --store-owner) _claude_init_offer -u ;;
        --store-mode) _claude_init_offer -W 'private group' ;;
        --locking) _claude_init_offer -W 'auto flock lease' ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --pdeathsig) _claude_init_offer -A signal ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    keep)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --publish) compopt -o filenames; _claude_init_offer -d ;;
        --publish-placeholder) compopt -o filenames; _claude_init_offer -d ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --old-seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --on-change) _claude_init_offer -c ;;
        --renew) _claude_init_offer -W 'auto never' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    health)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --user) _claude_init_offer -u ;;
        --format) _claude_init_offer -W 'text json prometheus' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    renew)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --format) _claude_init_offer -W 'text json' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    capture)
      case $option in
        --from) compopt -o filenames; _claude_init_offer -d ;;
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --store-owner) _claude_init_offer -u ;;
        --store-mode) _claude_init_offer -W 'private group' ;;
        --locking) _claude_init_offer -W 'auto flock lease' ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --format) _claude_init_offer -W 'text json' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    restore)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --to) compopt -o filenames; _claude_init_offer -d ;;
        --refresh-token) _claude_init_offer -W 'withhold copy' ;;
        --format) _claude_init_offer -W 'text json' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    history)
      case $option in
        --store) compopt -o filenames; _claude_init_offer -d ;;
        --seal-key) compopt -o filenames; _claude_init_offer -f ;;
        --format) _claude_init_offer -W 'text json' ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
    init)
      case $option in
        --pdeathsig) _claude_init_offer -A signal ;;
        --log-level) _claude_init_offer -W 'error warn info debug trace' ;;
        --log-format) _claude_init_offer -W 'text json' ;;
      esac
      ;;
  esac
}
complete -F _claude_init claude-init
