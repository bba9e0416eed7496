/* SPDX-License-Identifier: MIT */
#ifndef FMI_PLACES_H
#define FMI_PLACES_H

/* The order in which processing units are given to workers. Public side: fm_places(). */

#include <forkmap/machine.h>

/*
 * Fills `places` [n] from `units` [n_units], which are in topology order; ranks beyond n_units go round again.
 * `pin` is a valid fm_pin. Returns 0; -EINVAL for n or n_units < 1; -ENOMEM.
 */
int fmi_places_arrange(fm_place *places, int n, int pin, const fm_place *units, int n_units);

#endif
