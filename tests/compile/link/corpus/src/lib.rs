//! Empty: the programs of the corpus are compiled one by one.
