//! Models of the cases: what a real one would be, without a file.

use std::sync::Arc;

use evenkeel_types::definition::{Catalog, LoadedModel, ModelFiles, ModelProblem, ModelSource};
use evenkeel_types::{Column, ColumnFunction, DataType, External, Field, FunctionSignature};

/// `risk.onnx` takes two numbers and a text, any other path ends with what is wrong with it.
#[derive(Debug)]
struct TestModels;

/// A function that nobody asks.
struct Silent(FunctionSignature);

impl ColumnFunction for Silent {
    fn signature(&self) -> &FunctionSignature {
        &self.0
    }

    fn evaluate(&self, _arguments: &[Column], _rows: usize) -> Column {
        panic!("a definition is bound, not evaluated")
    }
}

impl ModelFiles for TestModels {
    fn load(&self, name: &str, source: &ModelSource) -> Result<LoadedModel, ModelProblem> {
        if source.path != "models/risk.onnx" {
            return Err(ModelProblem {
                message: format!("`{}` cannot be read", source.path),
                hint: Some("look at the path".to_owned()),
            });
        }
        let mut digest = [3; 16];
        digest[0] = source.class.as_ref().map_or(0, |class| class.len() as u8);
        let signature = FunctionSignature {
            name: name.to_owned(),
            digest,
            parameters: vec![
                Field::new("amount", DataType::Double),
                Field::new("age", DataType::BigInt),
                Field::new("country", DataType::String),
            ],
            result: DataType::Float,
        };
        Ok(LoadedModel {
            function: External::new(Arc::new(Silent(signature))),
            content: "0123456789abcdef".repeat(4),
            notes: vec!["a model of the tests".to_owned()],
        })
    }

    fn content(&self, _digest: &str) -> Option<Arc<[u8]>> {
        None
    }
}

/// What exists, with the models of the cases.
pub(crate) fn with_models(existing: &Catalog) -> Catalog {
    Catalog {
        model_files: Some(Arc::new(TestModels)),
        ..existing.clone()
    }
}
