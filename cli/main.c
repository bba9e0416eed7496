/* SPDX-License-Identifier: MIT */
/* The forkmap command: finds the command that the first word names. */
#include "commands.h"
#include "names.h"
#include "say.h"

#include <argp.h>
#include <forkmap/forkmap.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>

static const char version[] = "forkmap " FM_VERSION;

static const char help[] =
    "Usage: forkmap COMMAND [OPTION...] [WORD...]\n"
    "Map C functions over arrays in files, with one pinned worker process per core.\n"
    "\n"
    "  map FUNCTION INPUT...  map a function of your own, or a kernel, over the rows of files\n"
    "  map -e EXPR INPUT...   map an expression in C\n"
    "  run KERNEL             run a kernel on its default input\n"
    "  kernels                list the kernels, those that come with it and those of --load\n"
    "  new kernel NAME        write a kernel of your own to start from\n"
    "  manager                serve dicts, queues, arrays and locks by name\n"
    "  call NAME METHOD       call a method of an object of a manager\n"
    "  shm list|gc|rm         show named shared memory, and remove what is left over\n"
    "  topo                   show the usable cores and where workers go\n"
    "\n"
    "  forkmap COMMAND --help explains a command, with examples. --version shows the version.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  forkmap map ./f.so:f in.npy --out f8: -o out.npy\n"
    "  forkmap map -e 'sqrt(x0*x0 + x1*x1)' a.npy b.npy -o r.npy\n"
    "  forkmap run docking --verify --compare -o energies.npy\n"
    "  forkmap topo --synthetic \"pack:2 core:4 pu:2\"\n"
    "\n"
    "Exit codes: 0 done, 1 some items failed, 2 usage, 3 environment.\n";

static const struct command {
    const char *name;
    char *title; /* for messages: argp takes argv[0] */
    int (*run)(int argc, char **argv);
} commands[] = {
    {"map", "forkmap map", fmc_cmd_map},
    {"run", "forkmap run", fmc_cmd_run},
    {"kernels", "forkmap kernels", fmc_cmd_kernels},
    {"new", "forkmap new", fmc_cmd_new},
    {"manager", "forkmap manager", fmc_cmd_manager},
    {"call", "forkmap call", fmc_cmd_call},
    {"shm", "forkmap shm", fmc_cmd_shm},
    {"topo", "forkmap topo", fmc_cmd_topo},
};
#define N_COMMANDS (sizeof commands / sizeof commands[0])

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int refuse(const char *word)
{
    const char *names[N_COMMANDS];
    char remedy[120] = "`forkmap --help` lists the commands";
    for (size_t i = 0; i < N_COMMANDS; i++)
        names[i] = commands[i].name;
    const char *nearest = fmc_names_nearest(word, names, (int)N_COMMANDS);
    if (nearest != NULL)
        snprintf(remedy, sizeof remedy, "did you mean %s? `forkmap --help` lists the commands",
                 nearest);
    return fmc_say_error(FMC_USAGE, remedy, "%s: no such %s", word,
                         word[0] == '-' ? "option" : "command");
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2) {
        fputs(help, stderr);
        return FMC_USAGE;
    }
    const char *word = argv[1];
    const int help_of = strcmp(word, "help") == 0 && argc > 2;
    if (!help_of &&
        (strcmp(word, "--help") == 0 || strcmp(word, "-?") == 0 || strcmp(word, "help") == 0)) {
        fputs(help, stdout);
        return FMC_DONE;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts(version);
        return FMC_DONE;
    }
    const struct command *command = find_command(help_of ? argv[2] : word);
    if (command == NULL)
        return refuse(help_of ? argv[2] : word);
    if (help_of) { /* `forkmap help map` is `forkmap map --help` */
        char option[] = "--help";
        char *words[] = {command->title, option, NULL};
        return command->run(2, words);
    }
    argv[1] = command->title;
    return command->run(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    /* Only the characters: a decimal comma in the user's locale must not change numbers. */
    setlocale(LC_CTYPE, "");
    /* Set, not defined: hidden visibility would keep a definition here from argp. */
    argp_program_version = version;
    argp_err_exit_status = FMC_USAGE;
    return fmc_say_end(dispatch(argc, argv));
}
