/* Where the data of tiny lies. Made by intcc 0.1.0.

   A macro that is defined before, for instance by
       -D'TINY_WEIGHTS_SECTION=__attribute__((section(".weights")))'
   puts its data into a section, which the linker script places; without it the linker's own
   choice stands. Constants in a section of RAM have to be copied there at start-up. */
#ifndef TINY_MEMORY_H
#define TINY_MEMORY_H

/* Weights and tables: 8360 bytes. */
#ifndef TINY_WEIGHTS_SECTION
#define TINY_WEIGHTS_SECTION
#endif

/* Numbers per channel, small tables, all hot: 2736 bytes. */
#ifndef TINY_PARAMETERS_SECTION
#define TINY_PARAMETERS_SECTION
#endif

/* The caller's arena: 5888 bytes. */
#ifndef TINY_ARENA_SECTION
#define TINY_ARENA_SECTION
#endif

/* Alignment of weights and arena that suits the machine; 8 bytes are needed. */
#ifndef TINY_ALIGNED
#ifdef __GNUC__
#define TINY_ALIGNED __attribute__((aligned(64)))
#else
#define TINY_ALIGNED
#endif
#endif

#endif
