"""Id tokens: readers, authorization, the authorization cache and the owner's cards."""
