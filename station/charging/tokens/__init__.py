"""Id tokens: readers, authorization, authorization cache, owner's cards."""
