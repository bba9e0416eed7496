/* SPDX-License-Identifier: MIT */
/* JSON lines by jansson. */
#include "events.h"

#include "say.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static json_t *have(json_t *value)
{
    if (value == NULL) {
        fprintf(stderr, "forkmap: no memory for a line of JSON\n");
        exit(FMC_ENVIRONMENT);
    }
    return value;
}

json_t *fmc_event(const char *name)
{
    json_t *event = have(json_object());
    json_object_set_new(event, "event", have(json_string(name)));
    return event;
}

json_t *fmc_event_text(const char *text)
{
    json_t *value = json_string(text);
    if (value != NULL)
        return value;
    char *ascii = strdup(text);
    if (ascii == NULL)
        return have(NULL);
    for (char *c = ascii; *c != '\0'; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    value = have(json_string(ascii));
    free(ascii);
    return value;
}

int fmc_event_write(FILE *file, json_t *event)
{
    errno = 0;
    const int failed = json_dumpf(event, file, JSON_COMPACT | JSON_REAL_PRECISION(9)) != 0 ||
                       fputc('\n', file) == EOF ||
                       (file == stdout && fflush(file) != 0); /* a reader waits for it */
    json_decref(event);
    if (!failed)
        return 0;
    return errno != 0 ? -errno : -EIO;
}
