/* Included before all else in what is compiled for a program of another version, or for its module.
 */
#ifdef SIGNALS
#include "engine/protocol/signal.h"
#undef PST_SIGNAL_VERSION
#define PST_SIGNAL_VERSION SIGNALS
#endif
#if defined(FABRIC) && defined(OF_MODULE)
#include "net/quic/quic_wire.h"
#undef QUIC_VERSION
#define QUIC_VERSION FABRIC
#elif defined(FABRIC)
#include "net/shm/shm_wire.h"
#undef SHM_VERSION
#define SHM_VERSION FABRIC
#endif
