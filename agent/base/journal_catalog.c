/* SPDX-License-Identifier: MIT
 *
 * journal_catalog: a program of the build: prints the journal's message
 * catalog, an entry for each number of errors.def.
 *
 * https://systemd.io/CATALOG/
 */
#include <stdio.h>
#include <string.h>

#include "agent/base/journal.h"

/* The journal fills in an entry's fields where the text has @FIELD@. */
static void put_remedy(const char *remedy)
{
    static const char PLACE[] = "REPLICA";
    const char *p;

    while ((p = strstr(remedy, PLACE)) != NULL) {
        printf("%.*s@DROVER_REPLICA@", (int)(p - remedy), remedy);
        remedy = p + strlen(PLACE);
    }
    printf("%s\n\nNow: drover --db @DROVER_DB@ status\n\n", remedy);
}

static void entry(int number, const char *text, const char *remedy)
{
    printf("-- " JOURNAL_ID_BASE "%04d\n"
           "Subject: DR-%03d: %s\n"
           "Defined-By: drover\n"
           "Documentation: man:drover-errors(7)\n\n",
           number, number, text);
    put_remedy(remedy);
}

int main(void)
{
    puts("# SPDX-License-Identifier: MIT\n"
         "# Message catalog of Drover, for journalctl -x.\n");
#define DR(name, number, exit, again, text, remedy) entry(number, text, remedy);
#include "sync/errors/errors.def"
#undef DR
    return 0;
}
