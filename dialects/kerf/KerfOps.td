// The whole dialect, for TableGen.
#ifndef KERF_OPS_TD
#define KERF_OPS_TD

include "dialects/kerf/KerfAttentionOps.td"
include "dialects/kerf/KerfBatchOps.td"
include "dialects/kerf/KerfElementwiseOps.td"
include "dialects/kerf/KerfLayerOps.td"
include "dialects/kerf/KerfLinearOps.td"
include "dialects/kerf/KerfModelOps.td"
include "dialects/kerf/KerfProgramOps.td"

#endif // KERF_OPS_TD
