/* SPDX-License-Identifier: MIT */
/*
 * Where workers go. Every order but COMPACT works by rounds: round 0 is the first usable unit of each
 * core, round 1 the second, so that no two workers share a core while another core is free.
 */
#include "places.h"

#include "error.h"
#include "topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What SPREAD knows of one unit. Packages and NUMA nodes are named by the index of their first unit. */
struct candidate {
    int round; /* how many units of its core lie before it, inside the mask; -1: taken */
    int package, numa;
    int package_load, numa_load; /* workers there so far; counted in the first unit */
};

/* The round of unit `i`. Not its sibling number: the mask may hold only second siblings. */
static int next_round(const fm_place *units, int i, int round_before)
{
    return i > 0 && units[i].core == units[i - 1].core ? round_before + 1 : 0;
}

static void arrange_by_core(fm_place *order, const fm_place *units, int n_units)
{
    int filled = 0;
    for (int wanted = 0; filled < n_units; wanted++)
        for (int i = 0, round = 0; i < n_units; i++) {
            round = next_round(units, i, round);
            if (round == wanted)
                order[filled++] = units[i];
        }
}

static int first_in_package(const fm_place *units, int i)
{
    int first = 0;
    while (units[first].package != units[i].package)
        first++;
    return first;
}

static int first_in_numa(const fm_place *units, int i)
{
    int first = 0;
    while (units[first].numa != units[i].numa)
        first++;
    return first;
}

/* The free unit of the lowest round whose package, then NUMA node, has the fewest workers so far. */
static int pick_farthest(const struct candidate *c, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++) {
        if (c[i].round < 0)
            continue;
        int ahead = best < 0 ? -1 : c[i].round - c[best].round;
        if (ahead == 0)
            ahead = c[c[i].package].package_load - c[c[best].package].package_load;
        if (ahead == 0)
            ahead = c[c[i].numa].numa_load - c[c[best].numa].numa_load;
        if (ahead < 0)
            best = i;
    }
    return best;
}

static int arrange_spread(fm_place *order, int n_wanted, const fm_place *units, int n_units)
{
    struct candidate *c = calloc((size_t)n_units, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    for (int i = 0, round = 0; i < n_units; i++) {
        c[i].round = round = next_round(units, i, round);
        c[i].package = first_in_package(units, i);
        c[i].numa = first_in_numa(units, i);
    }
    for (int rank = 0; rank < n_wanted; rank++) {
        int i = pick_farthest(c, n_units);
        order[rank] = units[i];
        c[c[i].package].package_load++;
        c[c[i].numa].numa_load++;
        c[i].round = -1;
    }
    free(c);
    return 0;
}

int fmi_places_arrange(fm_place *places, int n, int pin, const fm_place *units, int n_units)
{
    if (n < 1 || n_units < 1)
        return -EINVAL;
    if (pin == FM_PIN_NONE) {
        for (int i = 0; i < n; i++)
            places[i] = (fm_place){.cpu = -1, .core = -1, .package = -1, .numa = -1};
        return 0;
    }
    fm_place *order = malloc((size_t)n_units * sizeof *order);
    if (order == NULL)
        return -ENOMEM;
    int code = 0;
    if (pin == FM_PIN_COMPACT)
        memcpy(order, units, (size_t)n_units * sizeof *order);
    else if (pin == FM_PIN_SPREAD)
        code = arrange_spread(order, n < n_units ? n : n_units, units, n_units);
    else
        arrange_by_core(order, units, n_units);
    for (int i = 0; code == 0 && i < n; i++)
        places[i] = order[i % n_units];
    free(order);
    return code;
}

int fm_places(fm_place *places, int n, int pin, const char *synthetic)
{
    fm_place *units;
    if (places == NULL)
        return fmi_error(-EINVAL, "places is NULL");
    if (n < 1)
        return fmi_error(-EINVAL, "%d places asked for, at least 1 is needed", n);
    if (pin < 0 || pin > FM_PIN_NONE)
        return fmi_error(-EINVAL, "%d is not an fm_pin (0 .. %d)", pin, FM_PIN_NONE);
    int n_units = fmi_sys_topo_units(synthetic, &units);
    if (n_units < 0)
        return n_units;
    int code = fmi_places_arrange(places, n, pin == 0 ? FM_PIN_CORE : pin, units, n_units);
    free(units);
    return code == 0 ? n_units
                     : fmi_error(code, "%d processing units cannot be arranged: %s", n_units,
                                 fm_strerror(code));
}
