# bash completion for ocdsup 0.1.0; generated from its parsers
_ocdsup_benches() {
    ocdsup status --json 2>/dev/null | tr '{' '\n' | sed -n 's/^"name": "\([a-z][a-z0-9-]*\)", "desired".*/\1/p'
}

_ocdsup() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} verb= at words= files= benches=
    COMPREPLY=()
    for ((at = 1; at < COMP_CWORD; at++)); do
        case ${COMP_WORDS[at]} in
            -c | --config | --socket) ((at++)) ;;
            -*) ;;
            *) verb=${COMP_WORDS[at]}; break ;;
        esac
    done
    case $before in -c | --config | --socket) COMPREPLY=($(compgen -f -- "$word")); return ;; esac
    case $verb in
        '') words='run demo status why logs restart stop start reload probes evict lend openocd wait check init ide install uninstall schema front sim -c --config --socket -h --help --version' ;;
        run) words='-h --help --log-level -c --config --socket' ;;
        demo) words='-h --help --once --gdb-port --telnet-port --dap --fault -c --config --socket' ;;
        status) words='-h --help --json -c --config --socket' benches=1 ;;
        why) words='-h --help --json -c --config --socket' benches=1 ;;
        logs) words='-h --help -f --follow -n --lines --json -c --config --socket' benches=1 ;;
        restart) words='-h --help --under-reset --force -c --config --socket' benches=1 ;;
        stop) words='-h --help --force -c --config --socket' benches=1 ;;
        start) words='-h --help -c --config --socket' benches=1 ;;
        reload) words='-h --help -c --config --socket' ;;
        probes) words='-h --help --json -c --config --socket' ;;
        evict) words='-h --help --force -c --config --socket' benches=1 ;;
        lend) words='-h --help --for --force -c --config --socket' benches=1 ;;
        openocd) words='-c --config --socket' ;;
        wait) words='-h --help --timeout -c --config --socket' benches=1 ;;
        check) words='-h --help -q --quiet --json -c --config --socket' files=1 ;;
        init) words='-h --help --target --simulated --force -c --config --socket' files=1 ;;
        ide) words='-h --help --elf --gdb -c --config --socket vscode eclipse platformio clion gdb zephyr' benches=1 ;;
        install) words='-h --help --user --system --dry-run --root -c --config --socket' ;;
        uninstall) words='-h --help --user --system --dry-run --root -c --config --socket' ;;
        schema) words='-h --help -c --config --socket' ;;
        front) words='-h --help --listen --wait -c --config --socket' ;;
        sim) words='-h --help --port --board --serial --control -c --config --socket break heal log status press power' ;;
    esac
    [[ $benches && $word != -* ]] && words+=" $(_ocdsup_benches)"
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    [[ $files && $word != -* ]] && COMPREPLY+=($(compgen -f -- "$word"))
}
complete -o filenames -F _ocdsup ocdsup
