/* SPDX-License-Identifier: MIT
 *
 * cmdline_shell: completion scripts.  They know nothing of the commands: each
 * asks the program (`PROGRAM __complete WORD...`, cmdline_complete.c), which
 * answers from the tables that it parses with. */
#include <string.h>

#include "store/base/quote.h"
#include "store/cmdline/cmdline_impl.h"

/* PROGRAM is replaced, and NAME by the same as a function's name has it. */
static const char BASH[] =
    "# bash completion for PROGRAM; printed by: PROGRAM completion bash\n"
    "_NAME()\n"
    "{\n"
    "    local line cur=${COMP_WORDS[COMP_CWORD]}\n"
    "    [ \"$cur\" != = ] || cur=\n"
    "    COMPREPLY=()\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :dirs | :files)\n"
    "            compopt -o filenames 2>/dev/null\n"
    "            [ \"$line\" = :dirs ] && line=-d || line=-f\n"
    "            while IFS= read -r line; do\n"
    "                COMPREPLY+=(\"$line\")\n"
    "            done < <(compgen \"$line\" -- \"$cur\")\n"
    "            ;;\n"
    "        *) COMPREPLY+=(\"${line%%$'\\t'*}\") ;;\n"
    "        esac\n"
    "    done < <(PROGRAM __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
    "2>/dev/null)\n"
    "}\n"
    "complete -F _NAME PROGRAM\n";

static const char ZSH[] =
    "#compdef PROGRAM\n"
    "# zsh completion for PROGRAM; printed by: PROGRAM completion zsh\n"
    "_NAME()\n"
    "{\n"
    "    local line\n"
    "    local -a found\n"
    "    while IFS= read -r line; do\n"
    "        case $line in\n"
    "        :dirs) compset -P '--*='; _files -/ ;;\n"
    "        :files) compset -P '--*='; _files ;;\n"
    "        *) found+=(\"${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}\") ;;\n"
    "        esac\n"
    "    done < <(PROGRAM __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
    "    (( $#found == 0 )) || _describe PROGRAM found\n"
    "}\n"
    "if [ \"${funcstack[1]}\" = _NAME ]; then\n"
    "    _NAME \"$@\"\n"
    "else\n"
    "    compdef _NAME PROGRAM\n"
    "fi\n";

static const char FISH[] =
    "# fish completion for PROGRAM; printed by: PROGRAM completion fish\n"
    "function __NAME_complete\n"
    "    set -l current (commandline -ct)\n"
    "    set -l words (commandline -opc) \"$current\"\n"
    "    for line in (PROGRAM __complete $words[2..-1] 2>/dev/null)\n"
    "        switch $line\n"
    "            case :dirs\n"
    "                __fish_complete_directories \"$current\" ''\n"
    "            case :files\n"
    "                __fish_complete_path \"$current\"\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c PROGRAM -f -a '(__NAME_complete)'\n";

/* PROGRAM and NAME replaced. */
static void print(FILE *out, const char *script, const char *program)
{
    while (*script != '\0') {
        size_t n = strcspn(script, "PN");
        (void)fprintf(out, "%.*s", (int)n, script);
        script += n;
        if (strncmp(script, "PROGRAM", 7) == 0) {
            (void)fputs(program, out);
            script += 7;
        } else if (strncmp(script, "NAME", 4) == 0) {
            for (const char *c = program; *c != '\0'; c++) {
                (void)fputc(*c == '-' ? '_' : *c, out);
            }
            script += 4;
        } else if (*script != '\0') {
            (void)fputc(*script++, out);
        }
    }
}

int cmdline_completion(struct cmdline *line)
{
    static const struct shell {
        const char *name;
        const char *script;
    } SHELLS[] = {{"bash", BASH}, {"zsh", ZSH}, {"fish", FISH}};
    const char *name = line->words[0];

    for (size_t i = 0; i < sizeof SHELLS / sizeof SHELLS[0]; i++) {
        if (strcmp(SHELLS[i].name, name) == 0) {
            print(line->out, SHELLS[i].script, line->program->name);
            return EXIT_GOOD;
        }
    }
    return cmdline_fail_usage(line, "there is no completion for %s",
                              QUOTED_STR(name));
}
