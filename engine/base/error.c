/* The texts and names of errors: the list of penstock/error.h, and errno. Any thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "penstock/error.h"

static const struct {
    int number;
    bool may_retry;
    const char *name;
    const char *text;
} errors[] = {
#define X(name, number, retry, text) {number, retry, #name, text},
    PST_ERROR_LIST(X)
#undef X
};

#define ERRORS (sizeof(errors) / sizeof(errors[0]))

const char *pst_error_text(int error)
{
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].number == abs(error))
            return errors[i].text;
    }
    const char *text = strerrordesc_np(abs(error));
    return text ? text : "unknown error";
}

const char *pst_error_name(int error)
{
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].number == abs(error))
            return errors[i].name;
    }
    const char *name = strerrorname_np(abs(error));
    return name ? name : "unknown";
}

bool pst_error_may_retry(int error)
{
    for (size_t i = 0; i < ERRORS; i++) {
        if (errors[i].number == abs(error))
            return errors[i].may_retry;
    }
    switch (abs(error)) {
    case EINTR:
    case EAGAIN:
    case EBUSY:
    case ENOSPC:
    case ENOMEM:
        return true;
    default:
        return false;
    }
}
