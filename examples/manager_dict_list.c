/* SPDX-License-Identifier: MIT */
/*
 * A manager's dict and list, changed by ten processes of the family and by a client without the memory:
 *
 *     with Manager() as m:
 *         d, l = m.dict(), m.list(range(5))
 *         ps = [Process(target=func, args=(d, l)) for _ in range(10)]
 *         [p.start() for p in ps]; [p.join() for p in ps]
 *         print(d, l)
 */
#include <forkmap/forkmap.h>
#include <stdio.h>

enum { N = 10 };
static const char key[] = "not a good key"; /* better: random bytes, or none: the program's own */

struct task {
    fm_manager *manager;
    int i;
};

static int func(void *arg)
{
    const struct task *t = arg;
    fm_dict *d;
    fm_list *l;
    char text[16];
    snprintf(text, sizeof text, "%d", t->i);
    int rc = fm_manager_get(t->manager, "d", (void **)&d);
    if (rc == 0)
        rc = fm_manager_get(t->manager, "l", (void **)&l);
    if (rc == 0)
        rc = fm_dict_add(d, fm_text("processes"), 1, NULL, FM_FOREVER);
    if (rc == 0)
        rc = fm_list_append(l, fm_text(text), FM_FOREVER);
    return rc;
}

static int run_all(fm_manager *manager)
{
    fm_process *ps[N] = {0};
    int rc = 0, code, n_failed = 0;
    for (int i = 0; i < N && rc == 0; i++) {
        const struct task t = {manager, i};
        rc = fm_process_create(&ps[i], func, &t, sizeof t, NULL);
        if (rc == 0)
            rc = fm_process_start(ps[i]);
    }
    for (int i = 0; i < N && ps[i] != NULL; i++) {
        if (fm_process_join(ps[i], FM_FOREVER) != 0 || fm_process_exitcode(ps[i], &code) != 0 ||
            code != 0)
            n_failed++;
        (void)fm_process_close(ps[i]);
    }
    return rc != 0 ? rc : -n_failed;
}

/* As a program on another machine would. */
static int call(const char *address)
{
    FM_AUTO(fm_manager) client = NULL;
    FM_AUTO(fm_snapshot) sum = NULL;
    FM_AUTO(fm_snapshot) items = NULL;
    const fm_bytes counter = fm_text("processes");
    int rc = fm_manager_connect(&client, address, key, sizeof key - 1, NULL);
    if (rc == 0)
        rc = fm_manager_call(client, "d", "add", (fm_bytes[]){counter, fm_text("0")}, 2, &sum,
                             FM_FOREVER);
    if (rc == 0)
        rc = fm_manager_call(client, "l", "sort", NULL, 0, NULL, FM_FOREVER);
    if (rc == 0)
        rc = fm_manager_call(client, "l", "slice", NULL, 0, &items, FM_FOREVER);
    if (rc == 0)
        printf("%s processes:", (const char *)sum->values[0].data);
    for (int64_t i = 0; rc == 0 && i < items->n; i++)
        printf(" %s", (const char *)items->values[i].data);
    printf("\n");
    return rc;
}

int main(void)
{
    FM_AUTO(fm_manager) manager = NULL;
    int rc = fm_manager_start(&manager, FM_MANAGER_OPTS(.address = "localhost:0", .authkey = key,
                                                        .authkey_bytes = sizeof key - 1));
    if (rc == 0)
        rc = fm_manager_create(manager, "d", "dict", NULL, 0, FM_FOREVER);
    if (rc == 0)
        rc = fm_manager_create(manager, "l", "list", NULL, 0, FM_FOREVER);
    if (rc == 0)
        rc = run_all(manager);
    if (rc == 0)
        rc = call(fm_manager_address(manager));
    if (rc != 0)
        fprintf(stderr, "%s: %s\n", fm_errname(rc), fm_error_detail());
    return rc != 0;
}
