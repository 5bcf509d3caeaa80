/* The thread contract is asserted: another thread's call ends the process. */
#include <pthread.h>

#include "engine/base/check.h"
#include "tests/suite.h"
#include "tests/support/child.h"

static void *call(void *owner)
{
    PST_CHECK_THREAD((struct pst_thread_owner *)owner);
    return NULL;
}

static void call_on_another_thread(struct pst_thread_owner *owner)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, call, owner) == 0)
        pthread_join(thread, NULL);
}

static void bind_and_call(void *owner)
{
    pst_thread_bind(owner);
    call_on_another_thread(owner);
}

static void call_unbound(void *owner)
{
    call_on_another_thread(owner);
    pst_thread_bind(owner);
    pst_thread_unbind(owner);
    call_on_another_thread(owner);
}

static void the_owner_may_call(void)
{
    struct pst_thread_owner owner = {0};
    PST_CHECK_THREAD(&owner);
    pst_thread_bind(&owner);
    PST_CHECK_THREAD(&owner);
}

static void another_thread_may_not(void)
{
    struct pst_thread_owner owner = {0};
    CU_ASSERT_TRUE(child_aborts(bind_and_call, &owner));
}

static void anyone_may_while_it_is_unbound(void)
{
    struct pst_thread_owner owner = {0};
    CU_ASSERT_FALSE(child_aborts(call_unbound, &owner));
}

static void *ask(void *is_main)
{
    *(bool *)is_main = pst_thread_is_main();
    return NULL;
}

static void the_first_thread_is_main(void)
{
    bool other_is_main = true;
    pthread_t thread;
    CU_ASSERT_TRUE(pst_thread_is_main());
    CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, ask, &other_is_main), 0);
    pthread_join(thread, NULL);
    CU_ASSERT_FALSE(other_is_main);
}

int main(void)
{
    CU_TestInfo tests[] = {
        {"the owner may call", the_owner_may_call},
        {"another thread may not", another_thread_may_not},
        {"anyone may while it is unbound", anyone_may_while_it_is_unbound},
        {"the first thread alone is the main one", the_first_thread_is_main},
        CU_TEST_INFO_NULL,
    };
    return suite_run("check", tests);
}
