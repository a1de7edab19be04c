package collect

import "context"

func (r *run) batches(ctx, all context.Context) error { r.answers(ctx, all, r.tasks); return nil }
