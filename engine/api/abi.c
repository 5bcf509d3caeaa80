/*
 * Takes and gives structs that a program built for another version may have made shorter or longer.
 * Called by the entries of the library, on the caller's thread.
 */
#include "engine/api/abi.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/printable.h"
#include "penstock/limits.h"

#define STRUCT_BYTES_MAX 65536u /* no struct ever is longer: it was not initialised */

static uint32_t struct_bytes(const void *given)
{
    uint32_t bytes = 0;
    if (given)
        memcpy(&bytes, given, sizeof(bytes));
    return bytes;
}

int pst_abi_check(const void *given, size_t least_bytes)
{
    uint32_t bytes = struct_bytes(given);
    return bytes < least_bytes || bytes > STRUCT_BYTES_MAX ? -EINVAL : 0;
}

int pst_abi_take(void *own, size_t own_bytes, const void *given, size_t least_bytes)
{
    int error = pst_abi_check(given, least_bytes);
    if (error)
        return error;
    uint32_t bytes = struct_bytes(given);
    for (size_t i = own_bytes; i < bytes; i++)
        if (((const uint8_t *)given)[i] != 0)
            return -E2BIG;
    memcpy(own, given, bytes < own_bytes ? bytes : own_bytes);
    return 0;
}

void pst_abi_give(void *given, const void *own, size_t own_bytes)
{
    uint32_t bytes = struct_bytes(given);
    memcpy(given, own, bytes < own_bytes ? bytes : own_bytes);
    memcpy(given, &bytes, sizeof(bytes));
}

int pst_abi_explain(int error, char *message)
{
    if (error && message[0] == '\0')
        snprintf(message, PST_MESSAGE_BYTES, "%s", pst_error_text(error));
    pst_make_printable(message, strlen(message)); /* it may quote what a program was given */
    return error;
}

const char *pst_abi_error_text(int error)
{
    return error == -E2BIG ? "the program was built for a newer libpenstock and uses a feature "
                             "that this one lacks; install the newer one"
                           : "a struct was not initialised: call its pst_…_init()";
}
