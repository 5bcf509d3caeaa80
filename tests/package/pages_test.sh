#!/bin/bash
# --help, manual pages, and completion for bash and zsh have the same commands and options, and the pages
# all that --help says of them. The completions are run: by bash, and by zsh where it is installed.
#   pages_test.sh PENSTOCK PAGES_FOLDER
set -euo pipefail

penstock=$1 pages=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

same() { # WHAT EXPECTED GOT: files
    if ! diff "$2" "$3" >"$work/diff"; then
        echo "$1: not as --help has it:"
        cat "$work/diff"
        failed=1
    fi
}

# ---- what each of them offers, a word a line, sorted ----

help_options() { # COMMAND
    "$penstock" "$1" --help | sed -nE 's/^  (--[a-z0-9-]+).*/\1/p' | sort
}
man_options() { # COMMAND
    sed -nE '/^\.SH OPTIONS/,/^\.SH EXIT/s/^(\\fB\\-.\\fR, )?\\fB(\\-\\-.*)\\fR.*/\2/p' "$pages/man/man1/penstock-$1.1" |
        sed 's/\\fR.*//; s/\\-/-/g' | sort
}
plain_man() { # PAGE: its text in one line
    sed -E '/^\.(\\"|TH|SH|TP|br|nh|ad)/d; s/\\f[BIR]//g; s/^\\&//; s/\\://g; s/\\-/-/g; s/\\\(aq/'"'"'/g; s/\\\(ga/`/g; s/\\\(ti/~/g; s/\\\(ha/^/g; s/\\e/\\/g' "$1" | tr -s ' \n' ' '
}

# What bash offers behind these words.
bash_completes() { # WORD…
    bash -c 'source "$1"; shift; COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _penstock
        [ ${#COMPREPLY[@]} -eq 0 ] || printf "%s\n" "${COMPREPLY[@]}"' bash "$pages/penstock.bash" "$@" | sort
}
# Its specifications, one a line, where these words stand.
zsh_specifications() { # COMMAND
    zsh -fc 'function _arguments() { [[ $1 == -C ]] && { state=rest words=($command); return 1 }; print -rl -- "$@" }
        function _describe() { print -rl -- $commands }
        command=$2; source $1' zsh "$pages/_penstock" "$1"
}

"$penstock" --help | sed -n '/^Commands:/,/^$/s/^  \([a-z0-9-]*\) .*/\1/p' | sort >"$work/commands"
[ "$(wc -l <"$work/commands")" -gt 10 ] || { echo 'no commands are found in --help'; exit 1; }

bash_completes penstock '' >"$work/got"
same 'bash: commands' "$work/commands" "$work/got"
sed -n '/^\.SH COMMANDS/,/^\.SH EXIT/s/^\\fB\(.*\)\\fR$/\1/p' "$pages/man/man1/penstock.1" | sort >"$work/got"
same 'penstock.1: commands' "$work/commands" "$work/got"
find "$pages" -name 'penstock-*.1' ! -name penstock-bench.1 | sed 's/.*penstock-//; s/\.1$//' | sort >"$work/got"
same 'the pages' "$work/commands" "$work/got"
"$penstock" --help | sed -n '/^Exit codes:/,$s/^  *\([0-9]\+\) .*/\1/p' >"$work/wanted"
sed -n '/^\.SH EXIT/,$s/^\\fB\([0-9]*\)\\fR$/\1/p' "$pages/man/man1/penstock.1" >"$work/got"
same 'penstock.1: exit codes' "$work/wanted" "$work/got"

value() { # EXPECTED WORD…
    bash_completes "${@:2}" | paste -sd ' ' >"$work/got"
    echo "$1" >"$work/wanted"
    same "bash: ${*:2}" "$work/wanted" "$work/got"
}
letters=0

while read -r command; do
    help_options "$command" >"$work/wanted"
    man_options "$command" >"$work/got"
    same "penstock-$command.1" "$work/wanted" "$work/got"
    bash_completes penstock "$command" -- >"$work/got"
    same "bash: $command" "$work/wanted" "$work/got"
    zsh_specifications "$command" | sed -nE 's/^(\(-. --[a-z]+\)|\*)?(--[a-z0-9-]+).*/\2/p' | sort >"$work/got"
    same "zsh: $command" "$work/wanted" "$work/got"
    # The letters that stand for switches.
    while read -r option letter; do
        grep -F "\\fB\\-$letter\\fR, \\fB\\-\\-$option\\fR" "$pages/man/man1/penstock-$command.1" >/dev/null ||
            { echo "penstock-$command.1 lacks -$letter"; failed=1; }
        value "-$letter" penstock "$command" "-$letter"
        zsh_specifications "$command" | grep -F -- "(-$letter --$option)-${letter}[" >/dev/null ||
            { echo "zsh: $command lacks -$letter"; failed=1; }
        letters=$((letters + 1))
    done < <("$penstock" "$command" --help | awk '/^  --/ { option = substr($1, 3) } match($0, /[(; ]also -[a-z];/) { print option, substr($0, RSTART + 7, 1) }')
    # The texts.
    text=$(plain_man "$pages/man/man1/penstock-$command.1")
    while read -r line; do
        [[ $text == *"$line"* ]] || { echo "penstock-$command.1 lacks: $line"; failed=1; }
    done < <("$penstock" "$command" --help | sed -E '1,/^Options:/d; /^A flag/d; s/^  (--[a-z0-9-]+( [^ ]+)?)  +/\1 /; s/ +/ /g; s/^ //; /^$/d')
done <"$work/commands"
[ "$letters" -gt 0 ] || { echo 'no letters are found in --help'; failed=1; }

# They can be set.
! command -v man >/dev/null || for page in "$pages"/man/man1/*.1; do
    LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings -E UTF-8 -l -Tutf8 -Z "$page" >/dev/null
done 2>"$work/warnings"
[ ! -s "$work/warnings" ] || { cat "$work/warnings"; failed=1; }

# Values.
mkdir "$work/folder"
touch "$work/file"
value 'completed none started' penstock backup --wait ''
value 'auto' penstock backup --direct = a
value "$work/folder" penstock list --from "$work/fol"
value '' penstock list --from "$work/fil"
value "$work/file" penstock backup --source dir : "$work/fil"
value "$work/file" penstock verify --key-file "$work/fil"
value '' penstock backup --number ''
value 'add list remove' penstock key ''

exit "$failed"
