/* SPDX-License-Identifier: MIT */
#ifndef FMC_COMMANDS_H
#define FMC_COMMANDS_H

/* The commands. argv[0] is the name for messages, as "forkmap map". Each returns the exit code. */

int fmc_cmd_map(int argc, char **argv);
int fmc_cmd_run(int argc, char **argv);
int fmc_cmd_kernels(int argc, char **argv);
int fmc_cmd_new(int argc, char **argv);
int fmc_cmd_manager(int argc, char **argv);
int fmc_cmd_call(int argc, char **argv);
int fmc_cmd_shm(int argc, char **argv);
int fmc_cmd_topo(int argc, char **argv);

#endif
