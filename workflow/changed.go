package workflow

// Changed says whether to take the new side of a changed workflow. It is false for tasks that were past this place, or in
// what follows it, when the change was deployed, and true for all others; the answer is recorded.
//
//	if workflow.Changed(ctx, "fraud-check") {
//		if err := FraudCheck.Do(ctx, order); err != nil {
//			return err
//		}
//	}
//
// When the last task that answered false has ended, the old side and the call can go.
func Changed(ctx Context, id string) bool {
	changed, err := ctx.sealed().branch.Changed(id, caller)
	return changed && err == nil
}
