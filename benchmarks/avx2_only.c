/* Loaded before a program, lets it find a processor without AVX-512, AVX-VNNI and AMX.

   Linux lets a thread fault at CPUID (arch_prctl, on processors that can: "cpuid_fault" in
   /proc/cpuinfo); threads inherit it. The handler asks the processor itself and takes bits away.
   Bits of leaf 7: Intel's manual, volume 2, CPUID. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif

#define BIT(n) (UINT32_C(1) << (n))

static long allow(int allowed)
{
    return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed);
}

static void ask(int number, siginfo_t *information, void *context)
{
    greg_t *const held = ((ucontext_t *)context)->uc_mcontext.gregs;
    const uint8_t *const code = (const uint8_t *)held[REG_RIP];
    const uint32_t leaf = (uint32_t)held[REG_RAX], part = (uint32_t)held[REG_RCX];
    uint32_t a, b, c, d;

    (void)information;
    if (code[0] != 0x0F || code[1] != 0xA2) { /* no CPUID: a fault of the program's own */
        signal(number, SIG_DFL);
        return;
    }
    allow(1);
    __asm__ volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d) : "a"(leaf), "c"(part));
    allow(0);
    if (leaf == 7 && part == 0) {
        /* F, DQ, IFMA, PF, ER, CD, BW, VL */
        b &= ~(BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31));
        /* VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ */
        c &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
        /* 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, FP16, AMX-TILE, AMX-INT8 */
        d &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(22) | BIT(23) | BIT(24) | BIT(25));
    }
    if (leaf == 7 && part == 1) {
        a &= ~(BIT(4) | BIT(5)); /* AVX-VNNI, AVX512-BF16 */
    }
    held[REG_RAX] = a;
    held[REG_RBX] = b;
    held[REG_RCX] = c;
    held[REG_RDX] = d;
    held[REG_RIP] += 2;
}

__attribute__((constructor)) static void begin(void)
{
    struct sigaction action = {0};

    action.sa_sigaction = ask;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    sigaction(SIGSEGV, &action, 0);
    unsetenv("LD_PRELOAD"); /* programs that this one starts see the processor as it is */
    allow(0);
}
